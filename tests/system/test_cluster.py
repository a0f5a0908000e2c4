import socket
import threading

import pytest

from gnnperf.system import cluster
from gnnperf.system.cluster import ClusterError, UnreachableError, check_address, connected


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)


@pytest.mark.parametrize(
    "address",
    ["tcp://host:8786", "tls://10.0.0.1:1", "tcp://[::1]:65535", "local:1", "local:1024"],
)
def test_addresses_are_taken(installed, address):
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        *("", "host:8786", "tcp://host", "tcp://host:", "tcp://host:0", "tcp://host:65536"),
        *("tcp://:8786", "http://host:80", "tcp://a b:1", "tcp://host:8786/", "tcp://::1:8786"),
        *("local", "local:", "local:0", "local:1025", "local:-1", "local:\u0663", "9" * 5000),
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(installed, address):
    with pytest.raises(ClusterError, match="name a Dask scheduler, tcp://host:8786, or") as caught:
        check_address(address)
    assert str(caught.value).startswith("--gnnperf-cluster '")
    assert len(str(caught.value)) < 250


def test_without_the_extra_a_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install 'gnnperf\[cluster\]'"):
        check_address("local:2")


def test_an_address_where_nobody_listens_is_named(monkeypatch):
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UnreachableError, match="no Dask scheduler answers"), connected(address):
        pass


@pytest.mark.parametrize(
    "says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["nothing", "HTTP"]
)
def test_a_server_that_is_no_scheduler_is_named(monkeypatch, says):
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    monkeypatch.setattr(cluster, "_CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"

        def answer():
            peer, _ = server.accept()
            peer.sendall(says)
            ended.wait(20)
            peer.close()

        ended = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnreachableError, match="no Dask scheduler"), connected(address):
            pass
        ended.set()
        thread.join()
