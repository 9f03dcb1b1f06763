# SPDX-License-Identifier: MIT
"""Runs the unit tests (cmocka programs) and the system tests (pytest), tells the seconds of each file of tests, and closes with
one line of counts."""
import collections, os, re, subprocess, sys, time
import xml.etree.ElementTree as xml

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


def seconds_of_files(report):
    """Where the time of a run went: CONTRIBUTING.md has the table."""
    files = collections.Counter()
    for case in xml.parse(report).iter("testcase"):
        files[case.get("classname").replace(".", "/") + ".py"] += float(case.get("time"))
    for name, seconds in files.most_common():
        print("%6.0f s  %s" % (seconds, name))


def start(name, *paths):
    """pytest over PATHS in the background, its output in a file."""
    report, log = (os.path.join(O, name + end) for end in (".xml", ".log"))
    for old in report, log:
        if os.path.exists(old):
            os.unlink(old)
    with open(log, "w") as out:
        run = subprocess.Popen(["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "--junitxml", report, *paths], stdout=out,
                               stderr=subprocess.STDOUT)
    return run, log, report


def finish(run, log, report):
    """Prints what a run says while it says it, and takes its counts."""
    global passed, failed, skipped
    text, code = "", None
    with open(log, errors="replace") as said:
        while code is None:
            code = run.poll()
            new = said.read()
            sys.stdout.write(new)
            sys.stdout.flush()
            text += new
            time.sleep(0 if code is not None else 1)
    tail = ([""] + [line for line in text.splitlines() if re.search(r"\d+ (passed|failed|error|skipped)", line)])[-1]
    count = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|errors?|skipped)", tail)}
    passed += count.get("passed", 0)
    skipped += count.get("skipped", 0)
    wrong = count.get("failed", 0) + count.get("error", 0) + count.get("errors", 0)
    failed += wrong if wrong else (1 if code else 0)
    if os.path.exists(report):
        seconds_of_files(report)


def system():
    """The boards beside all others: an emulated board waits as much as it works."""
    boards = start("tests-boards", "tests/boards")
    host = start("tests-host", "tests", "--ignore=tests/boards")
    finish(*host)
    finish(*boards)


begun = time.monotonic()
if only != "--pytest":
    unit()
if only != "--unit":
    system()
print("tests: %.1f minutes" % ((time.monotonic() - begun) / 60))
print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
sys.exit(1 if failed or not passed else 0)
