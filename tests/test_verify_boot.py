# SPDX-License-Identifier: MIT
"""verify=boot in board.conf: the store is looked through behind all that runs; what differs is named in `log`, and `status` says that there is something."""
from test_update import app, board, first, make_board  # noqa: F401


def boot(board, text):
    conf = board.etc / "board.conf"
    if "verify=" not in conf.read_text():
        conf.write_text(conf.read_text() + "verify=boot\n")
    board.start()
    board.wait(lambda: text in board.log(), text)
    return board.log()


def test_verify_at_boot(board, app):
    one = first(board, app)
    board.stop()
    boot(board, "verify: 1 images, 2 layers: all as published")
    board.wait_runs(one)
    assert "damaged" not in board.coracle("status").stdout
    board.stop()
    file = next(f for f in (board.data / "layers").glob("??????/**/*") if f.is_file() and not f.is_symlink() and f.stat().st_size)
    layer = next(p for p in file.parents if p.parent.name == "layers")
    with open(file, "r+b") as f:
        f.seek(file.stat().st_size - 1)
        f.write(b"\x5a")
    log = boot(board, "verify: 1 images, 2 layers: ")
    assert "differences: pull the images again" in log and "layer %s: /%s: content is" % (layer.name, file.relative_to(layer)) in log, log
    board.wait(lambda: "damaged: see `log`" in board.coracle("status").stdout, "status")
    board.wait_runs(one)
