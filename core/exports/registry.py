"""The formats that there are: ours, and those that other packages bring."""

from compresslab.exports.format import Format
from compresslab.registry import Registry, subclass_of

FORMATS: Registry[type[Format]] = Registry("compresslab.exports", subclass_of(Format))
