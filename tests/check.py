# SPDX-License-Identifier: MIT
"""Runs the unit tests (cmocka programs) and the system tests (pytest), and closes with one line of counts."""
import os, re, subprocess, sys

O = os.environ.get("O", "build")
only = sys.argv[1] if len(sys.argv) > 1 else None
passed = failed = skipped = 0


def unit():
    global passed, failed
    folder = os.path.join(O, os.environ.get("TARGET", "x86_64"), "unit")
    for name in sorted(os.listdir(folder)):
        run = subprocess.run([os.path.join(folder, name)], capture_output=True, text=True, errors="replace", timeout=300)
        out = run.stdout + run.stderr
        good = re.findall(r"\[  PASSED  \] (\d+) test", out)
        bad = re.findall(r"\[  FAILED  \] (\d+) test", out)
        passed += sum(map(int, good))
        failed += sum(map(int, bad))
        if run.returncode and not bad:
            failed += 1
        if not good:
            failed += 1
        print("unit %-28s %s" % (name, "ok" if run.returncode == 0 else "FAILED (%d)" % run.returncode))
        if run.returncode:
            print(out[-3000:])


def system():
    global passed, failed, skipped
    run = subprocess.Popen(["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "tests"], stdout=subprocess.PIPE,
                           text=True, errors="replace")
    tail = ""
    for line in run.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        tail = line if re.search(r"\d+ (passed|failed|error|skipped)", line) else tail
    code = run.wait()
    count = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", tail)}
    passed += count.get("passed", 0)
    skipped += count.get("skipped", 0)
    wrong = count.get("failed", 0) + count.get("error", 0) + count.get("errors", 0)
    failed += wrong if wrong else (1 if code else 0)


if only != "--pytest":
    unit()
if only != "--unit":
    system()
print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
sys.exit(1 if failed or not passed else 0)
