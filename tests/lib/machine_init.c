/* SPDX-License-Identifier: MIT */
/* /init of tests/lib/machine.py: loads /modules/00..., moves to the ext4 disk, mounts what a host has, cgroup v2 among it, runs
 * `/usr/bin/python3 /job.py`, says how it ended and powers off. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void end(const char *why, int status)
{
	printf("\nmachine: %s %d\n", why, status);
	fflush(stdout);
	tcdrain(1);
	sync();
	reboot(RB_AUTOBOOT);		/* with -no-reboot QEMU ends */
	for (;;)
		pause();
}

static void modules(void)
{
	char path[32];

	for (int i = 0;; i++) {
		int fd;

		snprintf(path, sizeof(path), "/modules/%02d", i);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			return;
		if (syscall(SYS_finit_module, fd, "", 0) < 0)
			perror(path);
		close(fd);
	}
}

static void at(const char *type, const char *place, const char *options)
{
	mkdir(place, 0755);
	if (mount(type, place, type, 0, options) < 0)
		perror(place);
}

int main(void)
{
	int status = 0;
	pid_t job, one;

	mount("dev", "/dev", "devtmpfs", 0, "");
	modules();
	for (int i = 0; i < 600 && mount("/dev/vda", "/disk", "ext4", MS_NOATIME, "") < 0; i++)
		usleep(100000);
	if (chdir("/disk") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		end("no disk", 1);
	at("proc", "/proc", "");
	at("sysfs", "/sys", "");
	at("devtmpfs", "/dev", "");
	at("devpts", "/dev/pts", "ptmxmode=0666");
	at("tmpfs", "/dev/shm", "");
	at("mqueue", "/dev/mqueue", "");
	at("tmpfs", "/run", "mode=755");
	at("cgroup2", "/sys/fs/cgroup", NULL);
	job = fork();
	if (job == 0) {
		setsid();
		setenv("PATH", "/usr/bin:/usr/sbin:/bin:/sbin", 1);
		execl("/usr/bin/python3", "python3", "/job.py", (char *)NULL);
		_exit(127);
	}
	while ((one = wait(&status)) > 0 && one != job)
		;
	end("ended with", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}
