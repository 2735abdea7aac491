"""Optional packages that read a format."""

from importlib import import_module
from types import ModuleType

from vaelab.system.errors import DataError


def optional(package: str, extra: str) -> ModuleType:
    """Import an optional package, such as h5py.

    Raises:
        DataError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise DataError(
            found=f"the package {package.partition('.')[0]} is not installed",
            expected=f"this package, which reads {extra} files",
            do=f"run `pip install 'vaelab[{extra}]'`",
        ) from error
