# SPDX-License-Identifier: MIT
"""kconfig.py defconfig: write .config with the defaults and what boards/$BOARD/defconfig says. kconfig.py header FILE: .config -> C header (kept if unchanged)."""
import os, subprocess, sys
import kconfiglib

conf = kconfiglib.Kconfig("Kconfig")
if sys.argv[1] == "defconfig":
    board = os.path.join("boards", os.environ.get("BOARD", ""), "defconfig")
    if os.path.isfile(board):
        conf.load_config(board)
    conf.write_config(".config", save_old=False)
else:
    conf.load_config(".config")
    out = sys.argv[2]
    conf.write_autoconf(out + ".new")
    stamp = os.environ.get("SOURCE_DATE_EPOCH") or subprocess.run(
        ["git", "log", "-1", "--format=%ct"], capture_output=True, text=True).stdout.strip() or "1"
    with open(out + ".new", "a") as f:
        f.write("#define CONFIG_BUILD_STAMP %sLL\n#define CORACLE_VERSION \"0.1.0\"\n" % stamp)
    os.replace(out + ".new", out)
