"""Compares stoop's JSON mapping with protobuf's own, on random messages: random_json.py ADDRESS STOOP CASES SEED.

Serves one service for each of proto2, proto3 and edition 2023. `Echo` gives back what it receives, `Give` sends random
messages. Both are called through stoop, and what arrives must be what protobuf's json_format makes of the same message.
"""
import json
import random
import struct
import subprocess
import sys
from concurrent import futures

import grpc
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf import duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from grpc_reflection.v1alpha import reflection

address, stoop, cases, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
R = random.Random(seed)
FIELD = descriptor_pb2.FieldDescriptorProto
SCALARS = ["double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "bytes", "uint32",
           "sfixed32", "sfixed64", "sint32", "sint64"]
KEYS = [name for name in SCALARS if name not in ("double", "float", "bytes")]
OWN = ["Any", "Timestamp", "Duration", "FieldMask", "Struct", "Value", "ListValue", "Empty", "DoubleValue", "FloatValue",
       "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue", "StringValue", "BytesValue"]
IMPORTS = [any_pb2, duration_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2, wrappers_pb2]


def set_type(field, name, package):
    if name in SCALARS:
        field.type = getattr(FIELD, "TYPE_" + name.upper())
    elif name in ("Mood", "NullValue"):
        field.type = FIELD.TYPE_ENUM
        field.type_name = f".{package}.Mood" if name == "Mood" else ".google.protobuf.NullValue"
    else:
        field.type = FIELD.TYPE_MESSAGE
        field.type_name = f".{package}.{name}" if name in ("All", "Sub") else f".google.protobuf.{name}"


class Builder:
    """Builds the message `All`, with fields of every type."""

    def __init__(self, syntax):
        self.syntax, self.package = syntax, "random." + syntax
        self.file = descriptor_pb2.FileDescriptorProto(name=f"random_{syntax}.proto", package=self.package)
        if syntax == "edition2023":
            self.file.syntax, self.file.edition = "editions", descriptor_pb2.EDITION_2023
        else:
            self.file.syntax = syntax
        self.file.dependency.extend(each.DESCRIPTOR.name for each in IMPORTS)
        self.all = self.file.message_type.add(name="All")
        self.optional = []

    def field(self, name, type_name, label=FIELD.LABEL_OPTIONAL, into=None):
        into = into or self.all
        field = into.field.add(name=name, number=len(into.field) + 1, label=label)
        set_type(field, type_name, self.package)
        return field

    def map(self, name, key, value):
        entry = self.all.nested_type.add(name="".join(part.capitalize() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        self.field("key", key, into=entry)
        self.field("value", value, into=entry)
        field = self.all.field.add(name=name, number=len(self.all.field) + 1, label=FIELD.LABEL_REPEATED)
        field.type, field.type_name = FIELD.TYPE_MESSAGE, f".{self.package}.All.{entry.name}"

    def scalars(self):
        features = descriptor_pb2.FeatureSet
        for name in SCALARS + ["Mood"]:
            low = name.lower()
            plain = self.field("f_" + low, name)
            optional = self.field("o_" + low, name)
            repeated = self.field("r_" + low, name, FIELD.LABEL_REPEATED)
            if self.syntax == "edition2023":
                if name != "Mood":
                    plain.options.features.field_presence = features.IMPLICIT
                if R.random() < 0.5:
                    repeated.options.features.repeated_field_encoding = features.EXPANDED
            elif self.syntax == "proto3":
                optional.proto3_optional = True
                self.optional.append(optional)
            elif name not in ("string", "bytes"):
                repeated.options.packed = R.random() < 0.5

    def messages(self):
        sub = self.file.message_type.add(name="Sub")
        must = self.field("must", "int32", into=sub)
        self.field("__odd_Name_2x", "string", into=sub)
        for name in OWN + ["All", "Sub"]:
            self.field("m_" + name.lower(), name)
            self.field("rm_" + name.lower(), name, FIELD.LABEL_REPEATED)
        for key in KEYS:
            self.map("by_" + key, key, R.choice(["int32", "double", "float", "Sub"]))
        for value in ["double", "float", "bytes", "Mood", "All", "Timestamp", "Value", "Any", "Int64Value"]:
            self.map("of_" + value.lower(), "string", value)
        self.all.oneof_decl.add(name="pick")
        for name in ["string", "int64", "double", "Sub", "NullValue", "Value", "bool"]:
            self.field("p_" + name.lower(), name).oneof_index = 0
        if self.syntax == "proto2":
            must.label = FIELD.LABEL_REQUIRED
            self.group("Part")
            self.extensions()
        if self.syntax == "edition2023":
            must.options.features.field_presence = descriptor_pb2.FeatureSet.LEGACY_REQUIRED
            for name, label in (("delimited", FIELD.LABEL_OPTIONAL), ("delimiteds", FIELD.LABEL_REPEATED)):
                field = self.field(name, "All", label)
                field.options.features.message_encoding = descriptor_pb2.FeatureSet.DELIMITED
            self.extensions()

    def group(self, name):
        self.field("a", "int32", into=self.all.nested_type.add(name=name))
        field = self.all.field.add(name=name.lower(), number=len(self.all.field) + 1, label=FIELD.LABEL_OPTIONAL)
        field.type, field.type_name = FIELD.TYPE_GROUP, f".{self.package}.All.{name}"

    def extensions(self):
        self.all.extension_range.add(start=1000, end=2000)
        for at, (name, label) in enumerate([("string", FIELD.LABEL_OPTIONAL), ("All", FIELD.LABEL_OPTIONAL),
                                            ("double", FIELD.LABEL_REPEATED), ("Timestamp", FIELD.LABEL_REPEATED)]):
            field = self.file.extension.add(name=f"e_{name.lower()}", number=1000 + at, label=label)
            field.extendee = f".{self.package}.All"
            set_type(field, name, self.package)

    def enum(self):
        mood = self.file.enum_type.add(name="Mood")
        for name, number in [("ZERO", 0), ("ONE", 1), ("UNO", 1), ("MINUS", -1), ("MOST", 2**31 - 1)]:
            mood.value.add(name=name, number=number)
        mood.options.allow_alias = True

    def build(self):
        self.enum()
        self.scalars()
        self.messages()
        # The oneofs of optional fields come after the others.
        for field in self.optional:
            field.oneof_index = len(self.all.oneof_decl)
            self.all.oneof_decl.add(name="_" + field.name)
        service = self.file.service.add(name="Random")
        for name in ("Echo", "Give"):
            kind = f".{self.package}.All"
            service.method.add(name=name, input_type=kind, output_type=kind, client_streaming=name == "Echo",
                               server_streaming=True)
        pool = descriptor_pool.Default()
        pool.Add(self.file)
        descriptor = pool.FindMessageTypeByName(self.package + ".All")
        return message_factory.GetMessageClass(descriptor), pool.FindAllExtensions(descriptor)


def whole(bits, signed):
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return R.choice([0, 1, low, high, low + 1, high - 1, R.randint(low, high), R.randint(low, high) >> R.randrange(bits)])


def fraction(bits):
    form, number = ("<d", "<Q") if bits == 64 else ("<f", "<I")
    anything = struct.unpack(form, struct.pack(number, R.getrandbits(bits)))[0]
    special = [0.0, -0.0, 1.0, 0.1, float("inf"), float("-inf"), float("nan"), 5e-324, 1e100, 1.7976931348623157e308]
    if bits == 32:
        # Python's parser refuses the largest float as its own printer writes it.
        special[7:] = [1e-45, 3.4028232635611926e38, -3.4028232635611926e38, 1.1754943508222875e-38]
    # The payload of a NaN has no JSON form.
    return R.choice(special + [float("nan") if anything != anything else anything] * 8)


def text():
    letters = "abcXYZ_ 09\"\\/\n\t\x00\x1f\x7f<>&'\u2028\u00e9\u4e2d\U0001f600"
    return "".join(R.choice(letters) for _ in range(R.choice([0, 1, 5, 20])))


def plain_json(depth):
    kinds = [None, True, False, R.uniform(-1e9, 1e9), -0.0, 5e-324, text()]
    if depth > 3 or R.random() < 0.6:
        return R.choice(kinds)
    if R.random() < 0.5:
        return [plain_json(depth + 1) for _ in range(R.randrange(4))]
    return {text(): plain_json(depth + 1) for _ in range(R.randrange(4))}


def scalar(field):
    kind = field.type
    if kind == FIELD.TYPE_ENUM:
        if field.enum_type.full_name == "google.protobuf.NullValue":
            return 0
        is_open = field.enum_type.is_closed is False
        return R.choice([value.number for value in field.enum_type.values] + [77, -99] * is_open)
    if kind in (FIELD.TYPE_DOUBLE, FIELD.TYPE_FLOAT):
        return fraction(64 if kind == FIELD.TYPE_DOUBLE else 32)
    if kind == FIELD.TYPE_BOOL:
        return R.random() < 0.5
    if kind == FIELD.TYPE_STRING:
        return text()
    if kind == FIELD.TYPE_BYTES:
        return R.randbytes(R.choice([0, 1, 2, 3, 30]))
    name = FIELD.Type.Name(kind)
    return whole(64 if "64" in name else 32, "UINT" not in name and not name.startswith("TYPE_FIXED"))


def well_known(message, name, depth):
    """Fills a message of a type with a JSON form of its own, and returns whether it is one."""
    if name == "Any":
        inner = R.choice([None, *(each for each in (timestamp_pb2.Timestamp, duration_pb2.Duration, empty_pb2.Empty,
                          struct_pb2.Value, wrappers_pb2.Int64Value, any_pb2.Any, *CLASSES))])
        if inner and depth < 4:
            content = inner()
            fill(content, depth + 2)
            message.Pack(content)
    elif name == "Timestamp":
        message.seconds = R.choice([-62135596800, 253402300799, 0, -1, R.randint(-62135596800, 253402300799)])
        message.nanos = R.choice([0, 1, 999999999, 500000000, 1000, R.randrange(10**9)])
    elif name == "Duration":
        sign = R.choice([-1, 1])
        message.seconds = sign * R.choice([0, 1, 315576000000, R.randint(0, 315576000000)])
        message.nanos = sign * R.choice([0, 1, 999999999, 5000000, R.randrange(10**9)])
    elif name == "FieldMask":
        message.paths.extend(R.choice(["a", "foo_bar", "foo.bar_baz.q", "a1.b_c"]) for _ in range(R.randrange(4)))
    elif name == "Value":
        json_format.ParseDict(plain_json(depth), message)
    elif name == "Struct":
        json_format.ParseDict({text(): plain_json(depth) for _ in range(R.randrange(4))}, message)
    elif name == "ListValue":
        json_format.ParseDict([plain_json(depth) for _ in range(R.randrange(4))], message)
    else:
        return False
    return True


def fill(message, depth=0):
    descriptor = message.DESCRIPTOR
    if descriptor.full_name.startswith("google.protobuf.") and well_known(message, descriptor.name, depth):
        return
    for field in descriptor.fields:
        if field.is_required or R.random() < (0.25 if depth == 0 else 0.05):
            fill_field(message, field, depth)
    for extension in EXTENSIONS.get(descriptor.full_name, []):
        if R.random() < 0.1:
            fill_extension(message.Extensions, extension, depth)


def fill_field(message, field, depth):
    value = getattr(message, field.name)
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, content = field.message_type.fields
        for _ in range(R.randrange(4)):
            if content.message_type:
                fill(value[scalar(key)], depth + 1)
            else:
                value[scalar(key)] = scalar(content)
    elif field.is_repeated:
        extend(value, field, depth)
    elif field.message_type:
        if depth < 4:
            value.SetInParent()
            fill(value, depth + 1)
    else:
        setattr(message, field.name, scalar(field))


def fill_extension(extensions, extension, depth):
    if extension.is_repeated:
        extend(extensions[extension], extension, depth)
    elif extension.message_type:
        extensions[extension].SetInParent()
        fill(extensions[extension], depth + 3)
    else:
        extensions[extension] = scalar(extension)


def extend(values, field, depth):
    for _ in range(R.choice([0, 1, 2, 5]) if depth < 3 else 0):
        if field.message_type:
            fill(values.add(), depth + 1)
        else:
            values.append(scalar(field))


def form(message):
    """Returns a form in which two messages can be compared: with all bits, but without the order of maps."""
    return json.dumps(json_format.MessageToDict(message), sort_keys=True)


def as_text(message):
    options = {"preserving_proto_field_name": R.random() < 0.3, "use_integers_for_enums": R.random() < 0.3,
               "always_print_fields_with_no_presence": R.random() < 0.2, "indent": R.choice([None, 1])}
    return json_format.MessageToJson(message, **options, ensure_ascii=R.random() < 0.5)


def compare(what, sent, arrived):
    if len(sent) != len(arrived):
        sys.exit(f"{what}: {len(sent)} messages were sent, {len(arrived)} arrived")
    for one, other in zip(sent, arrived):
        if form(one) != form(other):
            sys.exit(f"{what}: seed {seed}\nsent    {form(one)}\narrived {form(other)}")


def call(method, messages):
    data = "\n".join(messages)
    arguments = [stoop, "grpc", address, method, "-" if messages else "{}", "--json-lines", "--max-message", "256M"]
    done = subprocess.run(arguments, input=data.encode(), capture_output=True)
    if done.returncode:
        sys.exit(f"{method}: {done.stderr.decode()}")
    return [line for line in done.stdout.decode().split("\n") if line]


CLASSES, EXTENSIONS, HANDLERS, SERVICES = [], {}, {}, []
for syntax in ("proto2", "proto3", "edition2023"):
    builder = Builder(syntax)
    kind, extensions = builder.build()
    CLASSES.append(kind)
    EXTENSIONS[kind.DESCRIPTOR.full_name] = extensions
    SERVICES.append(f"{builder.package}.Random")

received, given = [], []


def echo(messages, _):
    for message in messages:
        received.append(message)
        yield message


def give(_, __):
    yield from given


server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", -1)])
handlers = {"Echo": grpc.stream_stream_rpc_method_handler(echo), "Give": grpc.unary_stream_rpc_method_handler(give)}
for service in SERVICES:
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
reflection.enable_server_reflection((*SERVICES, reflection.SERVICE_NAME), server)
server.add_insecure_port("unix:" + address)
server.start()

for service, kind in zip(SERVICES, CLASSES):
    messages = []
    for _ in range(cases):
        message = kind()
        fill(message)
        messages.append(message)
    del received[:], given[:]
    lines = call(service + "/Echo", [as_text(message) for message in messages])
    compare(f"{service}, from JSON", messages, [kind.FromString(message) for message in received])
    compare(f"{service}, to JSON", messages, [json_format.Parse(line, kind()) for line in lines])
    given.extend(message.SerializeToString() for message in messages)
    lines = call(service + "/Give", [])
    compare(f"{service}, to JSON", messages, [json_format.Parse(line, kind()) for line in lines])
    print(f"{service}: {cases} messages agree in both directions", flush=True)
