# SPDX-License-Identifier: MIT
"""Bytes of each program and target against the budget (x86_64 is the one that has one). Exit 1 above it."""
import os, sys

O = os.environ.get("O", "build")
programs = ("coracle-init", "coracle-fetch", "coracle-bundle")
# Beside the three, and off by one switch (CONFIG_NETWORKS): with a budget of its own.
more = ("coracle-net",)
budget = {"coracle-init": 160 * 1024, "all": 1638 * 1024, "coracle-net": 96 * 1024}
is_over = False
print("%-16s %10s %10s %10s %10s" % ("", "x86_64", "aarch64", "armv7", "budget"))
sizes = {}
for p in programs + ("all",) + tuple(p for p in more if os.path.exists(os.path.join(O, "x86_64", p))):
    row = []
    for t in ("x86_64", "aarch64", "armv7"):
        path = os.path.join(O, t, p)
        sizes[p, t] = sum(sizes[q, t] for q in programs) if p == "all" else os.path.getsize(path)
        row.append(sizes[p, t])
    print("%-16s %10d %10d %10d %10s" % ((p,) + tuple(row) + (budget.get(p, "-"),)))
    if p in budget and row[0] > budget[p]:
        print("%s is %d bytes above its budget" % (p, row[0] - budget[p]))
        is_over = True
sys.exit(1 if is_over else 0)
