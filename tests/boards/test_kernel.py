# SPDX-License-Identifier: MIT
"""What coracle asks of a kernel: the distribution's kernels have it, the fragments of the boards' own ask for it, and a kernel without it is
named with what is lost. The build itself is under CORACLE_FULL=1."""
import pathlib, subprocess
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
    always = {"COMPAT_32BIT_TIME|64BIT"} | (set() if pack.settings(name)["TARGET"] == "armv7" else {"ARM_THUMB|64BIT"})
    for level in (kernel_options.NEEDED, kernel_options.WANTED):
        assert {m.partition(":")[0] for m in kernel_options.missing(text, level)} <= always
    assert asked["CONFIG_STACKPROTECTOR_STRONG"] == "y"


class Builder:
    """In the place of dpkg-deb, tar and make: the files these would leave; make stops in the middle while IS_CUT."""

    def __init__(self, about):
        self.about, self.said, self.is_cut = about, [], True

    def run(self, *argv, env=None):
        self.said.append(argv[0])
        if argv[0] == "dpkg-deb":
            (argv[3] / "usr/src").mkdir(parents=True)
            (argv[3] / "usr/src/linux-source-6.12.tar.xz").touch()
        elif argv[0] == "tar":
            (argv[4] / "linux-source-6.12").mkdir()
        elif argv[-1] == "allnoconfig":
            self.o = pathlib.Path(next(w[2:] for w in argv if str(w).startswith("O=")))
            fragment = pathlib.Path(env["KCONFIG_ALLCONFIG"]).read_text()
            (self.o / ".config").write_text(fragment + "CONFIG_64BIT=y\nCONFIG_COMPAT_32BIT_TIME=y\n")
        elif self.is_cut:
            raise SystemExit("kernel: failed")
        else:
            arch, _, image = linux.ARCH[self.about["TARGET"]]
            files = [image, "modules.builtin", "include/config/kernel.release"] + ["arch/%s/boot/dts/%s" % (arch, d) for d in self.about["DTB"].split()]
            for path in files:
                (self.o / path).parent.mkdir(parents=True, exist_ok=True)
                (self.o / path).write_text("6.12.1\n" if path.endswith(".release") else path + "\n")


@pytest.mark.parametrize("name", OWN)
def test_a_build_that_was_broken_off_goes_on_and_is_whole(name, tmp_path, monkeypatch):
    about = pack.settings(name)
    builder = Builder(about)
    monkeypatch.setattr(kernel, "CACHE", tmp_path)
    monkeypatch.setattr(kernel, "deb", lambda package: tmp_path / "linux-source-6.12_6.12.1-1_all.deb")
    monkeypatch.setattr(linux, "run", builder.run)
    with pytest.raises(SystemExit, match="failed"):
        linux.of(name, about, "OWN_KERNEL")
    builder.is_cut = False
    folder = linux.of(name, about, "OWN_KERNEL")
    assert builder.said == ["dpkg-deb", "tar", "make", "make", "make", "make"], "unpacked once"
    assert linux.of(name, about, "OWN_KERNEL") == folder and len(builder.said) == 6
    assert sorted(p.name for p in folder.parent.iterdir()) == [folder.name, folder.name + ".lock"]
    assert kernel.image(folder).name == "vmlinuz-6.12.1" and "CONFIG_64BIT=y" in kernel.config(folder).read_text()
    assert all(kernel.dtb(folder, d).read_text().endswith(d + "\n") for d in about["DTB"].split())


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
