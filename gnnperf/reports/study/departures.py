"""Where the study departs from the paper and from the public codes of its methods, and why."""

from __future__ import annotations

DEPARTURES: tuple[tuple[str, str, str], ...] = (
    (
        "Algorithm 1",
        "its bytes are told for comparison alone; files are in a format of ours",
        "as printed it stores no mask, so that nothing can be read back",
    ),
    (
        "links",
        "the score is the area under the ROC curve, named so",
        "0.94 to 0.95 is that, or average precision; accuracy at a threshold is about 0.87",
    ),
    (
        "test parts",
        "the epoch is chosen on the validation part, everywhere",
        "some public codes report the best test epoch, which adds a point on Cora",
    ),
    (
        "splits",
        "of graphs stratified by size and class, drawn by seed, the same for every recipe of it",
        "random splits of a hundred test graphs decide more than the method does; deviations over "
        "stratified ones are smaller",
    ),
    (
        "SplineConv",
        "features are projected before they are gathered",
        "the same sums in another order, at a fraction of the time; PyG's own needs a compiled "
        "package",
    ),
    (
        "NESS",
        "edges are dropped anew in every epoch, and the losses of subgraphs are averaged",
        "the public code drops from what is left, until nothing is, and weighs earlier subgraphs "
        "more",
    ),
    (
        "HGP-SL, GNNNet",
        "parameters are counted, and non-zeros beside them",
        "Table 3 holds the non-zeros of these two after a training, and totals of the others",
    ),
    (
        "inference time",
        "CPU time beside the dense twin in the same process, as a ratio",
        "absolute times differ by half from process to process on shared machines",
    ),
    (
        "energy",
        "from the processor's counters, in windows of a second or more; else unavailable",
        "an estimate from CPU time would say nothing beyond CPU time",
    ),
    (
        "memory",
        "peak heap of one inference, allocation by allocation",
        "the process's memory is dominated by the libraries, and changes by chance",
    ),
    (
        "CPU",
        "CPU seconds, and cores kept busy in a window of a second or more",
        "a share of CPU over some milliseconds is noise",
    ),
    (
        "QAT, DQ",
        "training starts from the calibrated model and may end there; `trained` forbids it",
        "a training that makes a model worse is not shipped",
    ),
    (
        "percentile ranges",
        "averaged over batches",
        "running extremes of percentiles, as in the public code, are extremes again",
    ),
    (
        "A2Q",
        "bits move at a rate of 0.1, under a weight of memory that adapts",
        "at the published rates bits cannot leave 4 within the epochs",
    ),
    (
        "quantized models",
        "the one that is shipped computes in integers; the simulated one is timed beside it",
        "fake quantization makes inference slower, never faster",
    ),
)
"""Subject, what is done here, why."""
