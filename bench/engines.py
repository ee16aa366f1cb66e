"""Inference engines other than PyTorch, each from the ONNX file that PyTorch exports.

  onnxruntime          float32
  onnxruntime_dynamic  int8 by quantize_dynamic
  onnxruntime_static   int8 by quantize_static, per channel, calibrated on some images
  openvino             float32
  openvino_bf16        bfloat16
  openvino_static      the int8 model of onnxruntime_static
  mnn                  float32
"""
import os
import subprocess
import sys

import torch

ENGINES = "onnxruntime", "openvino", "mnn"
THREADS = len(os.sched_getaffinity(0))


def exported(model, image, path):
    axes = {"images": {0: "batch"}}
    names = {"input_names": ["images"], "output_names": ["logits"], "dynamic_axes": axes}
    torch.onnx.export(model, image, path, dynamo=False, **names)
    return path


def quantized_dynamically(path):
    from onnxruntime.quantization import quantize_dynamic

    out = path.with_name("dynamic.onnx")
    quantize_dynamic(path, out, per_channel=True)
    return out


def quantized_statically(path, images):
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.images = iter(images)

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {"images": image.numpy()}

    folded, out = path.with_name("folded.onnx"), path.with_name("static.onnx")
    quant_pre_process(path, folded)
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(folded, out, Reader(), per_channel=True, **types)
    return out


def onnxruntime_session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"images": batch.numpy()})


def openvino_session(path, precision):
    import openvino

    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": THREADS}
    request = openvino.compile_model(path, "CPU", options).create_infer_request()
    return lambda batch: request.infer({0: batch.numpy()})


def mnn_model(path):
    out = path.with_name("model.mnn")
    # The function of MNN's converter: its program mnnconvert installs packages and reports its use to a server. What it
    # prints on standard output would be taken for the result of this peer.
    convert = [sys.executable, "-c", "import sys, _tools; _tools.mnnconvert(sys.argv)"]
    arguments = ["-f", "ONNX", "--modelFile", path, "--MNNModel", out, "--bizCode", "bench"]
    subprocess.run([*convert, *map(str, arguments)], check=True, stdout=sys.stderr)
    return out


def mnn_session(path):
    import MNN

    settings = {"backend": "CPU", "numThread": THREADS, "precision": "high"}
    runtime = MNN.nn.create_runtime_manager((settings,))
    module = MNN.nn.load_module_from_file(str(path), ["images"], ["logits"], runtime_manager=runtime)

    def session(batch):
        images = MNN.expr.const(batch.numpy(), list(batch.shape), MNN.expr.NCHW)
        return module.forward([images])[0].read()

    return session


def engine_session(model, way, images, folder):
    """A function that runs a batch (N, 3, H, W). `images`: single ones, to calibrate int8."""
    path = exported(model, images[0], folder / "model.onnx")
    if way == "onnxruntime_dynamic":
        path = quantized_dynamically(path)
    elif way.endswith("_static"):
        path = quantized_statically(path, images)
    elif way == "mnn":
        return mnn_session(mnn_model(path))
    if way.startswith("openvino"):
        return openvino_session(path, "bf16" if way == "openvino_bf16" else "f32")
    return onnxruntime_session(path)
