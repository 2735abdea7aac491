"""Files of tensors: every layout of a tensor in memory gives the same file."""

import json

import pytest
import torch

from vaelab.system.errors import RunError
from vaelab.system.tensor_file import digest, read_tensors, write_tensors

ONE = torch.arange(64, dtype=torch.float64).reshape(8, 8)
LAYOUTS = {
    "one number of a transposed array": ONE.t()[3:4, 2:3],
    "one number of a column": ONE[:, 1][5:6],
    "one image, channels last": torch.arange(12.0).reshape(1, 2, 2, 3).movedim(-1, 1)[:, :1, :1, :1],
    "transposed": ONE.t(),
    "a scalar": torch.tensor(1.5),
    "empty": ONE[:, :0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tensor_of_any_layout_is_written_and_read(layout, tmp_path):
    tensor = LAYOUTS[layout]
    write_tensors(tmp_path / "t.safetensors", {"t": tensor})
    found, _ = read_tensors(tmp_path / "t.safetensors")
    assert torch.equal(found["t"], tensor)
    assert digest({"t": tensor}) == digest(
        {"t": torch.tensor(tensor.tolist(), dtype=tensor.dtype).reshape(tensor.shape)}
    )


@pytest.mark.parametrize("size", [2**63, 2**64 - 1, 2**64, 10**400, -1, 0.5, None, "8"])
def test_a_size_that_is_no_size_is_damage(size, tmp_path):
    header = json.dumps({"t": {"dtype": "U8", "shape": [0, size, 8], "data_offsets": [0, 0]}}).encode()
    path = tmp_path / "t.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(RunError, match="damaged"):
        read_tensors(path)
