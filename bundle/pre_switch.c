/* SPDX-License-Identifier: MIT */
/*
 * A second bundle of image and unit, in memory, that has the command in the program's place, and `coracle-init run` for it. What the command says goes where
 * this job's own lines go. Its container is killed by its cgroup, or where there is none with the process that attends it.
 */
#include "pre_switch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compile_inner.h"
#include "file.h"

enum { KILL_MS = 5000 };

static int make(struct store *s, const char *store_dir, const struct digest *digest, struct unit_file *u, struct record_build *record, char *path, size_t size,
	struct err *e)
{
	struct bundle_make m = { .store = s, .digest = digest, .unit = u };
	struct bundle_told told = { 0 };
	char id[BUNDLE_ID_LEN + 1];

	u->entrypoint = u->pre_switch;
	u->has_entrypoint = true;
	u->has_exec = false;
	u->exec.count = 0;
	u->network = UNIT_NETWORK_NONE;
	u->notify = u->watchdog_ms = 0;
	bundle_make_id(digest, span_str(u->name), id);
	snprintf(path, size, BUNDLE_SPARE_DIR "/%s", id);
	return bundle_make_own(&m, store_dir, true, span_str(u->name), record, &told, e);
}

static pid_t start(const char *bundle)
{
	char program[PATH_MAX];
	int r = file_sibling("coracle-init", program, sizeof(program));
	pid_t pid = r < 0 ? r : fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		syscall(SYS_close_range, 3, ~0U, 0);
		execl(program, "coracle-init", "run", bundle, (char *)NULL);
		_exit(125);
	}
	return pid < 0 && r == 0 ? -errno : pid;
}

static void kill_it(pid_t pid, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/coracle.run.%d/cgroup.kill", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1", 1) == 1)
		poll(&p, 1, KILL_MS);	/* it takes the group away and ends */
	if (fd >= 0)
		close(fd);
	kill(pid, SIGKILL);
}

static int attend(pid_t pid, uint32_t ms, struct err *e)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status = 0, r;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	bool is_late = pidfd < 0 || poll(&p, 1, (int)ms) <= 0;

	if (is_late)
		kill_it(pid, pidfd);
	do {
		r = waitpid(pid, &status, 0) < 0 ? -errno : 0;
	} while (r == -EINTR);
	if (pidfd >= 0)
		close(pidfd);
	if (is_late)
		return err_set(e, -EINVAL, "PreSwitch=: took longer than %u s", ms / 1000);
	if (r < 0)	/* nobody knows how it ended: not well, then */
		return err_sys(e, -r, "PreSwitch=: its end");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return err_set(e, -EINVAL, "PreSwitch=: ended with code %d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int pre_switch_run(struct store *s, const char *store_dir, const struct digest *digest, struct unit_file *unit, struct record_build *record, struct err *e)
{
	char path[sizeof(BUNDLE_SPARE_DIR) + BUNDLE_ID_LEN + 2];
	int r = make(s, store_dir, digest, unit, record, path, sizeof(path), e);
	pid_t pid;

	if (r == 0) {
		compile_note("%s: PreSwitch=%s", unit->name, unit->pre_switch.at[0]);
		r = pid = start(path);
		r = r < 0 ? err_sys(e, -r, "PreSwitch=") : attend(pid, unit->pre_switch_ms, e);
	}
	/* Only of this run. */
	return file_remove_tree(AT_FDCWD, path, e) < 0 && r == 0 ? -EAGAIN : r;
}
