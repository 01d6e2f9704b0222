#!/usr/bin/env bash
# onnxruntime 1.31.1, DynamicQuantizeMatMul on a CPU: the sign of the weight's type decides whether the product is right.
#
# A good guess: the operator's schema takes int8 or uint8 weights, the activations are rounded to 8 bits either way, so
# the same integers give the same product, whichever type holds them (uint8 around a zero point of 128).
#
# What happens: on an x86 processor with AVX2 and without VNNI, int8 weights run in a kernel that adds pairs of
# unsigned x signed products in 16 bits and saturates. With weights that use the whole range the result is 8 to 17 %
# away from the float product, without a warning. uint8 weights run in another kernel and are within 1 %, at about the
# same speed. With VNNI both are right, so a graph that was checked on one machine is wrong on another.
# onnxruntime's page on quantization does name the saturation of such kernels, as something that seldom matters for the
# final result; in a network whose weights fill the 8 bits, logits were up to 30 % off. Source: that page, and the run
# below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
"$folder/env/bin/python" - <<'PYTHON'
import platform
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROWS, INNER, COLUMNS, SCALE = 16, 576, 1536, 0.01
random = np.random.default_rng(0)
WEIGHT = random.integers(-127, 128, (INNER, COLUMNS)).astype(np.int8)
X = random.normal(size=(1, ROWS, INNER)).astype(np.float32)
EXACT = X @ (WEIGHT.astype(np.float32) * np.float32(SCALE))


def error(weight, zero=None):
    """Of the operator's product, against the float one: relative, in the Frobenius norm."""
    constants = {"w": weight, "s": np.full(COLUMNS, SCALE, np.float32)} | ({} if zero is None else {"z": zero})
    node = helper.make_node("DynamicQuantizeMatMul", ["x", *constants], ["y"], domain="com.microsoft")
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, EXACT.shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"x": X})[0]
    return float(np.linalg.norm(found - EXACT) / np.linalg.norm(EXACT))


flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
if platform.machine() not in ("x86_64", "AMD64") or "avx2" not in flags:
    sys.exit("This finding is about x86 processors with AVX2.")
vnni = "avx512_vnni" in flags or "avx_vnni" in flags
signed = error(WEIGHT)
unsigned = error((WEIGHT.astype(np.int16) + 128).astype(np.uint8), np.array(128, np.uint8))
print(f"onnxruntime {onnxruntime.__version__}, VNNI: {vnni}; int8 weights {signed:.1%} off, uint8 weights {unsigned:.1%} off")
sys.exit(0 if unsigned < 0.02 and (signed < 0.02 if vnni else signed > 0.05) else "This has changed.")
PYTHON
