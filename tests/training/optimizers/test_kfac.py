from copy import deepcopy

import torch
from torch import nn
from torch.nn import functional
from torch_geometric.nn import GCNConv

from gnnperf.training.optimizers.kfac import KfacAdam, inverse_factors

EPS = 0.01


def test_the_preconditioned_gradient_is_the_damped_fishers_inverse_times_it():
    torch.manual_seed(0)
    inputs, outputs = torch.randn(6, 3).double(), torch.randn(6, 2).double() / 6
    gradient = outputs.t() @ inputs
    a = inputs.t() @ inputs / 6 + EPS * torch.eye(3)
    g = (6 * outputs).t() @ (6 * outputs) / 6 + EPS * torch.eye(2)
    explicit = torch.linalg.solve(torch.kron(g, a), gradient.flatten()).view(2, 3)
    inverse_a, inverse_g = inverse_factors(inputs, outputs, EPS)
    assert torch.allclose(inverse_g @ gradient @ inverse_a, explicit)


def _step(model, optimizer, x, label):
    optimizer.zero_grad()
    functional.cross_entropy(model(x), label).backward()
    optimizer.step()


def test_it_is_adam_on_preconditioned_gradients():
    torch.manual_seed(0)
    model, x, label = nn.Linear(4, 3), torch.randn(8, 4), torch.arange(8) % 3
    twin = deepcopy(model)
    optimizer = KfacAdam(model, eps=EPS, update_every=2, lr=0.1)
    adam = torch.optim.Adam(twin.parameters(), lr=0.1)
    for step in range(5):
        adam.zero_grad()
        logits = twin(x)
        logits.retain_grad()
        functional.cross_entropy(logits, label).backward()
        if step % 2 == 0:
            inverses = inverse_factors(x, logits.grad, EPS)
        twin.weight.grad = inverses[1] @ twin.weight.grad @ inverses[0]
        adam.step()
        _step(model, optimizer, x, label)
        assert torch.allclose(model.weight, twin.weight, atol=1e-6)
        assert torch.allclose(model.bias, twin.bias, atol=1e-6)


def test_pygs_linears_are_preconditioned():
    torch.manual_seed(0)
    conv = GCNConv(4, 3)
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    optimizer = KfacAdam(conv, eps=EPS, lr=0.1)
    functional.cross_entropy(conv(torch.randn(3, 4), edges), torch.arange(3)).backward()
    before, bias = conv.lin.weight.grad.clone(), conv.bias.grad.clone()
    optimizer.step()
    assert not torch.allclose(conv.lin.weight.grad, before)
    assert torch.equal(conv.bias.grad, bias)


def test_evaluation_leaves_the_factors_alone():
    torch.manual_seed(0)
    model, x, label = nn.Linear(4, 3), torch.randn(8, 4), torch.arange(8) % 3
    twin = deepcopy(model)
    optimizers = KfacAdam(model, lr=0.1), KfacAdam(twin, lr=0.1)
    functional.cross_entropy(model(x), label).backward()
    functional.cross_entropy(twin(x), label).backward()
    with torch.no_grad():
        model(torch.randn(5, 4))
    for optimizer in optimizers:
        optimizer.step()
    assert torch.equal(model.weight, twin.weight)


def test_its_hooks_go_with_it():
    model = nn.Sequential(nn.Linear(4, 3))
    optimizer = KfacAdam(model, lr=0.1)
    assert model[0]._forward_hooks
    del optimizer
    assert not model[0]._forward_hooks
