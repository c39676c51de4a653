"""Serves stoop.test.Talk through grpcio: talk_server.py ADDRESS DESCRIPTORS [reflection]. Ends with its standard input."""
import sys
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory
from google.protobuf import struct_pb2, timestamp_pb2, wrappers_pb2  # noqa: F401 (their files are imported)
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

address, descriptors = sys.argv[1:3]
pool = descriptor_pool.Default()
with open(descriptors, "rb") as file:
    for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
        if not proto.name.startswith("google/"):
            pool.Add(proto)
Word = message_factory.GetMessageClass(pool.FindMessageTypeByName("stoop.test.Word"))


def fail(word, context):
    details = [
        error_details_pb2.ErrorInfo(reason="TEST", domain="stoop.test", metadata={"word": word.text}),
        error_details_pb2.BadRequest(field_violations=[{"field": "text", "description": "too short"}]),
        any_pb2.Any(type_url="stoop.test/Unknown", value=b"\xff"),
    ]
    packed = []
    for detail in details:
        if not isinstance(detail, any_pb2.Any):
            detail, message = any_pb2.Any(), detail
            detail.Pack(message)
        packed.append(detail)
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="no: \x1b[31m100 % \u00fc", details=packed)
    context.abort_with_status(rpc_status.to_status(status))


def count(word, context):
    for number in range(word.number):
        if not context.is_active():
            return
        yield Word(text=word.text, number=number)
        time.sleep(0.01)


def chat(words, _):
    for word in words:
        yield word


def metadata(_, context):
    pairs = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-")]
    context.send_initial_metadata(pairs)
    context.set_trailing_metadata(pairs)
    return Word(all=sorted(f"{key}={value}" for key, value in pairs))


def slow(word, _):
    time.sleep(word.number / 1000)
    return word


def handler(make, call):
    return make(call, request_deserializer=Word.FromString, response_serializer=Word.SerializeToString)


methods = {
    "Say": handler(grpc.unary_unary_rpc_method_handler, lambda word, _: word),
    "Count": handler(grpc.unary_stream_rpc_method_handler, count),
    "Join": handler(grpc.stream_unary_rpc_method_handler, lambda words, _: Word(text="".join(w.text for w in words))),
    "Chat": handler(grpc.stream_stream_rpc_method_handler, chat),
    "Fail": handler(grpc.unary_unary_rpc_method_handler, fail),
    "Large": handler(grpc.unary_unary_rpc_method_handler, lambda word, _: Word(data=bytes(word.number))),
    "Slow": handler(grpc.unary_unary_rpc_method_handler, slow),
    "Metadata": handler(grpc.unary_unary_rpc_method_handler, metadata),
}
options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
compression = grpc.Compression.Gzip if "gzip" in sys.argv[3:] else None
server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=options, compression=compression)
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("stoop.test.Talk", methods)])
if "reflection" in sys.argv[3:]:
    reflection.enable_server_reflection(["stoop.test.Talk", reflection.SERVICE_NAME], server, pool=pool)
assert server.add_insecure_port(address)
server.start()
print("serving", flush=True)
sys.stdin.read()
server.stop(grace=0)
