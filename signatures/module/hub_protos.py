"""The TF Hub library's protocol buffers for the TF1 Hub format.

The library has not shipped them since release 0.16. Field names, numbers and types are those of its
`module_def.proto`, `module_attachment.proto` and `image_module_info.proto`.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_FIELDS = {
    "ModuleDef": {"format": (1, _Field.TYPE_INT32)},
    "ModuleAttachment": {"key": (1, _Field.TYPE_STRING), "value": (2, _Field.TYPE_BYTES)},
    "InputSize": {"height": (1, _Field.TYPE_INT32), "width": (2, _Field.TYPE_INT32)},
    "ImageModuleInfo": {"default_image_size": (1, "InputSize")},
}
_PACKAGE = "slimhub.tensorflow_hub"


def _messages():
    file = descriptor_pb2.FileDescriptorProto(
        name="slimhub/tensorflow_hub.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in _FIELDS.items():
        descriptor = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = descriptor.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
            if isinstance(kind, str):
                field.type = _Field.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{message}")
        )
        for message in _FIELDS
    }


_MESSAGES = _messages()
ModuleDef = _MESSAGES["ModuleDef"]
ModuleAttachment = _MESSAGES["ModuleAttachment"]
ImageModuleInfo = _MESSAGES["ImageModuleInfo"]

# `ModuleDef.Format.FORMAT_V3`, a SavedModel with the TF Hub library's collections.
FORMAT_V3 = 3
IMAGE_MODULE_INFO = "image_module_info"
