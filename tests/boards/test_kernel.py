# SPDX-License-Identifier: MIT
"""What coracle asks of a kernel: the distribution's kernels have it, the fragments of the boards' own ask for it, and a kernel without it is
named with what is lost. The build itself is under CORACLE_FULL=1."""
import subprocess
import pytest
import board as board_kit
import kernel, kernel_options, linux, pack

ABOUT = [pack.settings(p.parent.name) for p in pack.BOARDS.glob("*/board")]
PACKAGES = sorted({about[key] for about in ABOUT for key in ("KERNEL", "FULL_KERNEL") if key in about})
OWN = sorted(p.parent.name for p in pack.BOARDS.glob("*/board") if "OWN_KERNEL" in pack.settings(p.parent.name))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_distributions_kernels(package):
    text = kernel.config(kernel.unpack(package)).read_text()
    assert len(kernel_options.read(text)) > 500
    assert kernel_options.missing(text) == [] == kernel_options.missing(text, kernel_options.WANTED)


def test_what_is_missing_is_named_with_what_is_lost(tmp_path):
    text = kernel.config(kernel.unpack(PACKAGES[0])).read_text()
    for name, level, why in kernel_options.OPTIONS:
        lacks = tmp_path / "config"
        lacks.write_text("\n".join(line for line in text.splitlines() if line.split("=")[0] not in ["CONFIG_" + n for n in name.split("|")]))
        run = subprocess.run(["/usr/bin/python3", board_kit.ROOT / "boards/common/kernel_options.py", lacks], stdout=subprocess.PIPE, text=True)
        assert run.returncode == (1 if level == kernel_options.NEEDED else 0), name
        (line,) = [l for l in run.stdout.splitlines() if l.startswith("MISSING")]
        assert line.split()[1:3] == [name, level] and line.endswith(why)


@pytest.mark.parametrize("name", OWN)
def test_a_boards_fragment_asks_for_it(name):
    """What the fragments do not say themselves is on wherever this can be switched off only by an expert, or it is selected."""
    asked = linux.fragment(name)
    text = "\n".join("%s=%s" % pair for pair in asked.items())
    always = {"COMPAT_32BIT_TIME|64BIT"}
    for level in (kernel_options.NEEDED, kernel_options.WANTED):
        assert {m.partition(":")[0] for m in kernel_options.missing(text, level)} <= always
    assert asked["CONFIG_STACKPROTECTOR_STRONG"] == "y"


@pytest.mark.full
@pytest.mark.parametrize("name", OWN)
def test_a_boards_own_kernel(name):
    """Built, complete, with every driver of `modules` and every device tree of the board."""
    about = pack.settings(name)
    folder = linux.of(name, about, "OWN_KERNEL")
    assert linux.of(name, about, "OWN_KERNEL") == folder          # kept
    assert kernel_options.missing(kernel.config(folder).read_text()) == []
    assert kernel.modules(folder, pack.words(pack.BOARDS / name / "modules")) == []
    assert all(kernel.dtb(folder, d).stat().st_size > 1000 for d in about["DTB"].split())
    assert kernel.image(folder).stat().st_size > 1 << 20
