"""OpenTelemetry's metric messages with what repeats left unparsed: attributes, resources and scopes stay bytes.

A message within a message is written as its bytes (wire type 2), so that a field may as well be declared `bytes`. Taking
the attributes of every point apart would cost ten times what counting the point does.
"""

from __future__ import annotations

from typing import Any, Final, cast

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from opentelemetry.proto.metrics.v1 import metrics_pb2

_LEFT: Final = {"attributes", "exemplars", "metadata", "resource", "scope"}
_Field = descriptor_pb2.FieldDescriptorProto


def _metrics_data() -> Any:
    """The class of MetricsData; ExportMetricsServiceRequest is written the same."""
    file = descriptor_pb2.FileDescriptorProto()
    cast("Any", metrics_pb2).DESCRIPTOR.CopyToProto(file)
    file.name = "upheld/metrics.proto"
    file.package = "upheld"
    del file.dependency[:]
    for message in file.message_type:
        _leave(message)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("upheld.MetricsData"))


def _leave(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type_name.startswith(".opentelemetry.proto.metrics.v1."):
            field.type_name = field.type_name.replace(".opentelemetry.proto.metrics.v1.", ".upheld.")
        if field.name in _LEFT or field.name == "filtered_attributes":
            field.type = _Field.TYPE_BYTES
            field.ClearField("type_name")
    for nested in message.nested_type:
        _leave(nested)


MetricsData: Final = _metrics_data()
