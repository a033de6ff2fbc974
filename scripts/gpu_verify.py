"""`expctl verify` in bfloat16 on the device, for `scripts/gpu_check.py`: one JSON object a line for each check.

The checks whose bound is zero compare whole trainings or resumptions, and must hold to the last bit in any precision
and on any device. The others compare with references in float64, which bfloat16 has no bound for.
"""

import json
import sys

import torch

from expctl.algorithms.upstream import ALGORITHMS
from expctl.verify import setup
from expctl.verify.__main__ import checks
from expctl.verify.check import run_check

# Sources, sorting and files: no model is trained there.
WITHOUT_A_MODEL = ("upstream", "filters", "buffer on disk")


def main() -> None:
    setup.SETTINGS |= {"bf16": True, "use_cpu": "--cpu" in sys.argv[1:]}
    # Products of the same matrices in the same order every time, so that equality to the last bit may be asked for.
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    for algorithm in ALGORITHMS:
        for check in checks(algorithm):
            if check.bound == "= 0" and check.name not in WITHOUT_A_MODEL:
                print(json.dumps(run_check(algorithm, check).as_dict()), flush=True)


if __name__ == "__main__":
    main()
