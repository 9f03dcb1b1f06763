/* SPDX-License-Identifier: MIT */
/*
 * The table of keys: what becomes of each, and what to say of it (podman-systemd.unit(5), systemd.unit(5), systemd.service(5)). The readers
 * of the values are in unit_keys_container.c and unit_keys_service.c.
 */
#include "unit_keys.h"

#include <string.h>

#include "quadlet.h"
#include "unit_keys_inner.h"

#define HONOURED(section, name, set, text) { section, name, UNIT_KEY_HONOURED, unit_keys_##set, text }
#define ACCEPTED(section, name, text) { section, name, UNIT_KEY_ACCEPTED, NULL, text }
#define REFUSED(section, name, text) { section, name, UNIT_KEY_REFUSED, NULL, text }

#define NO_PODMAN "there is no podman here"
#define NO_HOOKS "no program of the host is run for a container: do it in the image, or in a unit of its own that this one is After="
#define NO_USERNS "user namespaces of units are not there yet: take it out"
#define NO_SELINUX "there is no SELinux here"
#define NO_CONDITION "conditions are not checked here: decide when the unit files are written to the board"
#define USE_CONTAINER "units are containers: the key of that meaning in [Container] or [X-Coracle] does it"
#define TIME "a time span like 30, 90s, 1min 30s or infinity"
#define BOOLEAN "yes or no"
#define EXITS "exit codes (0 to 255) and names of signals, at most 8,"

static const struct unit_key keys[] = {
	HONOURED("Unit", "Description", unit_description, "text, shown in status"),
	HONOURED("Unit", "After", unit_after, "names of units (NAME.container or NAME.service) to wait for until each is up or has given up; at most 8 in all of After=, Requires= and Wants=; targets count as reached"),
	HONOURED("Unit", "Requires", unit_requires, "names of units that must exist here: started along with this one, and a stop or restart of theirs takes it with it; with After= too it starts only once they are up"),
	HONOURED("Unit", "StartLimitBurst", unit_burst, "a number of starts, 0 for no limit; default 5"),
	HONOURED("Unit", "StartLimitIntervalSec", unit_interval, TIME "; default 10s"),
	HONOURED("Unit", "Wants", unit_wants, "names of units that are started along with this one, where they exist"),
	ACCEPTED("Unit", "Documentation", "it is for people"),
	ACCEPTED("Unit", "DefaultDependencies", "there are no implicit dependencies"),
	ACCEPTED("Unit", "SourcePath", "it is for people"),
	REFUSED("Unit", "Before", "write After= into the other unit"),
	REFUSED("Unit", "BindsTo", "units do not stop one another: After= orders, Restart= keeps alive"),
	REFUSED("Unit", "PartOf", "units do not stop one another"),
	REFUSED("Unit", "Upholds", "Restart=always in the other unit keeps it alive"),
	REFUSED("Unit", "Requisite", "units do not stop one another: After= orders"),
	REFUSED("Unit", "Conflicts", "units do not stop one another: Enabled=no in [X-Coracle] keeps one from starting"),
	REFUSED("Unit", "OnFailure", "no unit is started by another's end: a supervisor watches `coracle status --json`"),
	REFUSED("Unit", "OnSuccess", "no unit is started by another's end"),
	REFUSED("Unit", "StartLimitAction", "Critical=yes in [X-Coracle] marks a unit without which the board is of no use"),
	REFUSED("Unit", "FailureAction", "Critical=yes in [X-Coracle] marks a unit without which the board is of no use"),
	REFUSED("Unit", "SuccessAction", "no unit's end powers the board off"),
	REFUSED("Unit", "RequiresMountsFor", "Volume= names what is mounted"),
	REFUSED("Unit", "ConditionPathExists", NO_CONDITION),
	REFUSED("Unit", "ConditionPathIsDirectory", NO_CONDITION),
	REFUSED("Unit", "ConditionHost", NO_CONDITION),
	REFUSED("Unit", "ConditionArchitecture", NO_CONDITION),
	REFUSED("Unit", "ConditionKernelCommandLine", NO_CONDITION),
	REFUSED("Unit", "AssertPathExists", NO_CONDITION),
	REFUSED("Unit", "StopWhenUnneeded", "a unit runs until it is stopped"),

	HONOURED("Container", "Image", image, "REGISTRY[:PORT]/REPOSITORY[:TAG][@DIGEST], with or without docker:// in front; oci:/DIRECTORY[:NAME] or oci-archive:/FILE[:NAME], admitted by the policy of that path"),
	HONOURED("Container", "Exec", container_exec, "words; they replace the image's Cmd. $$ is a dollar, nothing is expanded"),
	HONOURED("Container", "Entrypoint", container_entrypoint, "one path, or [\"a\", \"JSON\", \"array\"]; replaces the image's Entrypoint and its Cmd"),
	HONOURED("Container", "Environment", environment, "NAME=VALUE words"),
	HONOURED("Container", "User", user, "a name of the image's /etc/passwd or a number, :GROUP may follow"),
	HONOURED("Container", "Group", group, "a name of the image's /etc/group or a number"),
	HONOURED("Container", "GroupAdd", group_add, "names of the image's /etc/group or numbers"),
	HONOURED("Container", "UserNS", user_ns, "auto (a user namespace, or the unit is refused) or host (none, where userns-host= of board.conf names the unit); default: one, and without it, with a line in the log, where the kernel cannot"),
	HONOURED("Container", "WorkingDir", workdir, "an absolute path"),
	HONOURED("Container", "HostName", hostname, "a host name; default: the unit's name"),
	HONOURED("Container", "ContainerName", container_name, "a name, kept as an annotation; commands use the unit's name"),
	HONOURED("Container", "Network", network, "none (the default), host, bridge, or NAME.network of a file beside this one; the last two may be repeated, four in all"),
	HONOURED("Container", "PublishPort", publish_port, "[ADDRESS:]PORT:PORT[/tcp|udp] of the board and of the container, also ranges of one length (8000-8010:80-90); with Network=bridge or a .network"),
	HONOURED("Container", "IP", ip, "an IPv4 address of the first network; default: one that stays"),
	HONOURED("Container", "IP6", ip6, "an IPv6 address of the first network; default: one that stays"),
	HONOURED("Container", "NetworkAlias", network_alias, "further names by which the units of its networks find it"),
	HONOURED("Container", "AddHost", add_host, "NAME:ADDRESS, a line of /etc/hosts; with Network=bridge or a .network"),
	HONOURED("Container", "DNS", dns, "addresses of name servers, at most 3, or none; default: the network's, else the board's"),
	HONOURED("Container", "DNSSearch", dns_search, "domains for /etc/resolv.conf"),
	HONOURED("Container", "DNSOption", dns_option, "options for /etc/resolv.conf"),
	HONOURED("Container", "ReadOnly", read_only, "yes, which is the default and the only way"),
	HONOURED("Container", "ReadOnlyTmpfs", read_only_tmpfs, BOOLEAN "; yes (the default) puts a tmpfs on /run, /tmp and /var/tmp"),
	HONOURED("Container", "Tmpfs", tmpfs, "PATH[:OPTIONS], options: size= mode= uid= gid= nr_inodes= ro rw exec noexec suid nosuid dev nodev"),
	HONOURED("Container", "Volume", volume, "NAME:PATH[:OPTIONS] (kept under volumes/ of the store) or /HOST/PATH:PATH[:OPTIONS]; options: ro rw exec noexec suid nosuid nodev rbind bind rprivate"),
	HONOURED("Container", "AddCapability", add_capability, "names of capabilities(7); there are none by default"),
	HONOURED("Container", "DropCapability", drop_capability, "names of capabilities(7), or all; taken from those that AddCapability= gave"),
	HONOURED("Container", "NoNewPrivileges", no_new_privileges, BOOLEAN "; default yes"),
	HONOURED("Container", "RunInit", run_init, BOOLEAN "; yes: a reaper is the first process, hands signals on to the program and ends as it does (128 + N for signal N)"),
	HONOURED("Container", "SeccompProfile", seccomp_profile, "unconfined, or the absolute path of an OCI seccomp JSON file on the board; default: the built-in allow-list"),
	HONOURED("Container", "Memory", memory, "a size like 64m of at least 256k; the default is a limit too"),
	HONOURED("Container", "PidsLimit", pids_limit, "a number from 1; the default is a limit too"),
	HONOURED("Container", "ShmSize", shm_size, "a size like 16m for /dev/shm"),
	HONOURED("Container", "Ulimit", ulimit, "NAME=SOFT[:HARD], -1 for no limit (nofile, nproc, core, memlock, stack, ...)"),
	HONOURED("Container", "StopSignal", stop_signal, "the name or number of a signal (SIGTERM, RTMIN+3, 15); default: the image's, else SIGTERM"),
	HONOURED("Container", "StopTimeout", stop_timeout, TIME "; default 10s"),
	HONOURED("Container", "Mask", mask, "absolute paths, separated by colons"),
	HONOURED("Container", "Unmask", unmask, "absolute paths, separated by colons, or ALL"),
	HONOURED("Container", "Secret", secret, "NAME[,target=NAME][,uid=N][,gid=N][,mode=0400]: the file config/secrets/NAME of the data partition, at each start, as /run/secrets/NAME; not type=env"),
	HONOURED("Container", "AddDevice", add_device, "[-]/dev/NODE[:/dev/NAME][:rwm]; with - only where the board has it"),
	HONOURED("Container", "Sysctl", sysctl, "NAME=VALUE of net.* (not with Network=host), kernel.msg*, kernel.sem, kernel.shm*, fs.mqueue.*"),
	HONOURED("Container", "Pull", pull, "missing (the default), always, newer (as always) or never"),
	HONOURED("Container", "Label", label, "NAME=VALUE words; kept as annotations, never behaviour"),
	HONOURED("Container", "Annotation", annotation, "NAME=VALUE words; kept in config.json, never behaviour"),
	HONOURED("Container", "AutoUpdate", auto_update, "registry: the tag is looked at every UpdateInterval= and a new image taken on trial; without it `coracle update` does"),
	ACCEPTED("Container", "LogDriver", "logs go to the board's own rings; `coracle logs` shows them"),
	ACCEPTED("Container", "LogOpt", "logs go to the board's own rings"),
	ACCEPTED("Container", "Timezone", "only TZ= in Environment= reaches the program: set it there"),
	ACCEPTED("Container", "CgroupsMode", "every unit has a cgroup of its own"),
	ACCEPTED("Container", "Retry", "a pull is tried again with backoff for ever"),
	ACCEPTED("Container", "RetryDelay", "a pull is tried again with backoff for ever"),
	ACCEPTED("Container", "HttpProxy", "no proxy variables are handed in"),
	ACCEPTED("Container", "SecurityLabelDisable", NO_SELINUX),
	ACCEPTED("Container", "SecurityLabelFileType", NO_SELINUX),
	ACCEPTED("Container", "SecurityLabelLevel", NO_SELINUX),
	ACCEPTED("Container", "SecurityLabelNested", NO_SELINUX),
	ACCEPTED("Container", "SecurityLabelType", NO_SELINUX),
	ACCEPTED("Container", "ExposeHostPort", "it publishes nothing in podman either"),
	REFUSED("Container", "Mount", "use Volume= or Tmpfs="),
	REFUSED("Container", "EnvironmentFile", "write Environment= lines"),
	REFUSED("Container", "EnvironmentHost", "the environment of PID 1 is not handed in: write Environment= lines"),
	REFUSED("Container", "UIDMap", NO_USERNS),
	REFUSED("Container", "GIDMap", NO_USERNS),
	REFUSED("Container", "SubUIDMap", NO_USERNS),
	REFUSED("Container", "SubGIDMap", NO_USERNS),
	REFUSED("Container", "RemapUsers", NO_USERNS),
	REFUSED("Container", "RemapUid", NO_USERNS),
	REFUSED("Container", "RemapGid", NO_USERNS),
	REFUSED("Container", "RemapUidSize", NO_USERNS),
	ACCEPTED("Container", "HealthLogDestination", "the last output is kept, and shown in status"),
	ACCEPTED("Container", "HealthMaxLogCount", "the last output is kept, and shown in status"),
	ACCEPTED("Container", "HealthMaxLogSize", "the last output is kept, and shown in status"),
	HONOURED("Container", "HealthCmd", health_cmd, "a line for the image's /bin/sh, [\"a\", \"JSON\", \"array\"] of words, or none; run in the container, as the program's user and with its rights; at most 255 bytes. Default: the image's HEALTHCHECK"),
	HONOURED("Container", "HealthInterval", health_interval, TIME ", or disable; default 30s"),
	HONOURED("Container", "HealthTimeout", health_timeout, TIME "; default 30s"),
	HONOURED("Container", "HealthRetries", health_retries, "a number of failures in a row that make it unhealthy; default 3"),
	HONOURED("Container", "HealthStartPeriod", health_start_period, TIME ": failures in it do not count; default 0"),
	HONOURED("Container", "HealthStartupCmd", startup_cmd, "as HealthCmd=; the regular check begins once it has succeeded, and where there is none the unit is healthy then"),
	HONOURED("Container", "HealthStartupInterval", startup_interval, TIME ", or disable; default 30s"),
	HONOURED("Container", "HealthStartupTimeout", startup_timeout, TIME "; default 30s"),
	HONOURED("Container", "HealthStartupRetries", startup_retries, "a number of failures after which the unit is restarted, whatever Restart= says; default 0, never"),
	HONOURED("Container", "HealthStartupSuccess", startup_success, "a number of successes that are wanted; default one"),
	HONOURED("Container", "HealthOnFailure", health_on_failure, "none (the default), kill, restart or stop"),
	HONOURED("Container", "Notify", notify, BOOLEAN ", or healthy; yes: the unit is up once the program says READY=1 (sd_notify(3)) on the socket that NOTIFY_SOCKET names; healthy: once its health check first succeeds"),
	REFUSED("Container", "Pod", "there are no pods: one container a unit"),
	REFUSED("Container", "StartWithPod", "there are no pods: one container a unit"),
	REFUSED("Container", "PodmanArgs", NO_PODMAN ": use the key that has that meaning"),
	REFUSED("Container", "GlobalArgs", NO_PODMAN ": use the key that has that meaning"),
	REFUSED("Container", "ContainersConfModule", NO_PODMAN),
	REFUSED("Container", "ReloadCmd", "there is no reload: `coracle restart`"),
	REFUSED("Container", "ReloadSignal", "there is no reload: `coracle restart`"),
	REFUSED("Container", "Rootfs", "units run signed images: Image="),
	REFUSED("Container", "ServiceName", "a unit is named by its file"),
	REFUSED("Container", "VolatileTmp", "ReadOnlyTmpfs=yes is the default and does it"),
	REFUSED("Container", "AppArmor", "AppArmor is not used here: take it out"),

	HONOURED("Service", "Restart", restart, "no (the default), on-success, on-failure, on-abnormal, on-abort, on-watchdog or always"),
	HONOURED("Service", "RestartSec", restart_sec, TIME ": the first delay, doubled at each further failure; default 1s"),
	HONOURED("Service", "RestartMaxDelaySec", restart_max, TIME ": where doubling ends; default 60s"),
	HONOURED("Service", "TimeoutStartSec", timeout_start, TIME "; default 90s"),
	HONOURED("Service", "TimeoutStopSec", stop_timeout, TIME "; default 10s; the same as StopTimeout= in [Container]"),
	HONOURED("Service", "TimeoutSec", timeout_both, TIME ", for both start and stop"),
	HONOURED("Service", "StartLimitBurst", unit_burst, "as in [Unit]"),
	HONOURED("Service", "StartLimitIntervalSec", unit_interval, "as in [Unit]"),
	HONOURED("Service", "StartLimitInterval", unit_interval, "as StartLimitIntervalSec= in [Unit]"),
	HONOURED("Service", "Type", service_type, "simple, exec, notify (as Notify=yes) or oneshot: up once the program has ended well"),
	HONOURED("Service", "RemainAfterExit", remains, BOOLEAN "; a oneshot that ended well counts as up until it is stopped"),
	HONOURED("Service", "WatchdogSec", watchdog, TIME ": a program that is up and says no WATCHDOG=1 for so long is ended by SIGABRT; needs Notify=yes"),
	HONOURED("Service", "SuccessExitStatus", exit_success, EXITS " that count as a good end too"),
	HONOURED("Service", "RestartPreventExitStatus", exit_prevent, EXITS " that are never followed by a restart"),
	HONOURED("Service", "RestartForceExitStatus", exit_force, EXITS " that are always followed by a restart"),
	HONOURED("Service", "LogRateLimitBurst", log_burst, "a number of lines in LogRateLimitIntervalSec=; what is over it is dropped and counted; 0: no limit; default 10000"),
	HONOURED("Service", "LogRateLimitIntervalSec", log_interval, TIME "; default 30s"),
	ACCEPTED("Service", "RestartSteps", "the delay doubles until RestartMaxDelaySec="),
	ACCEPTED("Service", "KillMode", "the whole cgroup is killed after TimeoutStopSec="),
	ACCEPTED("Service", "Delegate", "every unit has a cgroup of its own"),
	ACCEPTED("Service", "NotifyAccess", "each unit has a socket of its own, and all its processes may use it"),
	ACCEPTED("Service", "SyslogIdentifier", "logs are kept by unit"),
	ACCEPTED("Service", "StandardOutput", "stdout goes to the unit's log"),
	ACCEPTED("Service", "StandardError", "stderr goes to the unit's log"),
	REFUSED("Service", "ExecStart", "Exec= and Entrypoint= in [Container]"),
	REFUSED("Service", "ExecStartPre", NO_HOOKS),
	REFUSED("Service", "ExecStartPost", NO_HOOKS),
	REFUSED("Service", "ExecStop", "StopSignal= in [Container]"),
	REFUSED("Service", "ExecStopPost", NO_HOOKS),
	REFUSED("Service", "ExecReload", "there is no reload: `coracle restart`"),
	REFUSED("Service", "ExecCondition", NO_HOOKS),
	REFUSED("Service", "Environment", "Environment= in [Container] reaches the program"),
	REFUSED("Service", "EnvironmentFile", "Environment= in [Container] reaches the program"),
	REFUSED("Service", "User", "User= in [Container]"),
	REFUSED("Service", "Group", "Group= in [Container]"),
	REFUSED("Service", "WorkingDirectory", "WorkingDir= in [Container]"),
	REFUSED("Service", "RestartMode", "only Restart= decides"),
	REFUSED("Service", "KillSignal", "StopSignal= in [Container]"),
	REFUSED("Service", "SendSIGKILL", "a program that does not stop in time is always killed"),
	REFUSED("Service", "RuntimeMaxSec", "a unit runs until it is stopped"),
	REFUSED("Service", "MemoryMax", "Memory= in [Container]"),
	REFUSED("Service", "MemoryHigh", "Memory= in [Container]"),
	REFUSED("Service", "MemorySwapMax", "MemorySwapMax= in [X-Coracle]"),
	REFUSED("Service", "TasksMax", "PidsLimit= in [Container]"),
	REFUSED("Service", "CPUQuota", "CpuQuota= in [X-Coracle]"),
	REFUSED("Service", "CPUWeight", "CpuWeight= in [X-Coracle]"),
	REFUSED("Service", "AllowedCPUs", "Cpus= in [X-Coracle]"),
	REFUSED("Service", "IOWeight", "I/O is not weighed yet"),
	REFUSED("Service", "Nice", "CpuWeight= in [X-Coracle]"),
	REFUSED("Service", "OOMScoreAdjust", "OomScoreAdjust= in [X-Coracle]"),
	REFUSED("Service", "LimitNOFILE", "Ulimit=nofile=... in [Container]"),
	REFUSED("Service", "LimitNPROC", "Ulimit=nproc=... in [Container]"),
	REFUSED("Service", "LimitCORE", "Ulimit=core=... in [Container]"),
	REFUSED("Service", "LimitMEMLOCK", "Ulimit=memlock=... in [Container]"),
	REFUSED("Service", "Slice", "every unit has a cgroup of its own"),
	REFUSED("Service", "PIDFile", "the program's process is known without"),
	REFUSED("Service", "NoNewPrivileges", USE_CONTAINER),
	REFUSED("Service", "CapabilityBoundingSet", USE_CONTAINER),
	REFUSED("Service", "SystemCallFilter", USE_CONTAINER),

	ACCEPTED("Install", "WantedBy", "every unit is started at boot unless [X-Coracle] says Enabled=no"),
	ACCEPTED("Install", "RequiredBy", "every unit is started at boot unless [X-Coracle] says Enabled=no"),
	ACCEPTED("Install", "UpheldBy", "every unit is started at boot unless [X-Coracle] says Enabled=no"),
	REFUSED("Install", "Alias", "a unit is named by its file"),
	REFUSED("Install", "DefaultInstance", "there are no templates: write one file a unit"),
	REFUSED("Install", "Also", "every unit is started at boot"),

	ACCEPTED("Quadlet", "DefaultDependencies", "there are no implicit dependencies"),

	HONOURED("X-Coracle", "Critical", x_critical, BOOLEAN "; default no: the board is of no use without this unit"),
	HONOURED("X-Coracle", "RefuseSecrets", x_refuse_secrets, BOOLEAN "; default no: an image with what looks like a secret in any layer is refused at pull"),
	HONOURED("X-Coracle", "Enabled", x_enabled, BOOLEAN "; default yes: started at boot"),
	HONOURED("X-Coracle", "UpdateInterval", x_update_interval, TIME " of at least 10s between two looks at the tag, give or take a fifth; default 1h"),
	HONOURED("X-Coracle", "UpdateWindow", x_update_window, "HH:MM-HH:MM (UTC) in which AutoUpdate= looks for images and switches to them; default always"),
	HONOURED("X-Coracle", "ConfirmSec", x_confirm, TIME ": a new image is kept once it was up for so long without an end; default: READY=1 where Notify= says so, else 30s"),
	HONOURED("X-Coracle", "ConfirmWindowSec", x_confirm_window, TIME ": a new image not confirmed within it is rolled back; default 5min"),
	HONOURED("X-Coracle", "ConfirmRegistry", x_confirm_registry, BOOLEAN "; default yes in a .release file and for a unit with Network=host, UserNS=host and CAP_NET_ADMIN, else no; a new image or release is kept only if its registry can be reached, and would let it in, while it is in force"),
	HONOURED("X-Coracle", "VolumeOnUpdate", x_volume_on_update, "copy or keep (the default) for all named volumes, NAME:copy or NAME:keep for one: what is copied before a new image is tried is put back when that is rolled back"),
	HONOURED("X-Coracle", "PreSwitch", x_pre_switch, "a command of the new image, run once with the unit's volumes before its program is first started; no network; it failing is a verdict"),
	HONOURED("X-Coracle", "PreSwitchSec", x_pre_switch_sec, TIME " that PreSwitch= may take, 1s to 1h; default 60s"),
	HONOURED("X-Coracle", "CpuQuota", x_cpu_quota, "percent of one CPU, like 50% or 150%"),
	HONOURED("X-Coracle", "CpuWeight", x_cpu_weight, "1 to 10000; the kernel's default is 100"),
	HONOURED("X-Coracle", "Cpus", x_cpus, "a list like 0-1,3"),
	HONOURED("X-Coracle", "MemoryMax", memory, "as Memory= in [Container]"),
	HONOURED("X-Coracle", "MemoryLow", x_memory_low, "a size that is kept for the unit under pressure"),
	HONOURED("X-Coracle", "MemorySwapMax", x_swap, "a size, or infinity; default 0: no swap"),
	HONOURED("X-Coracle", "PidsMax", pids_limit, "as PidsLimit= in [Container]"),
	HONOURED("X-Coracle", "LogSizeMax", x_log_size, "a size: of saved log, twice that is kept on the data partition; 0: none is saved; default 256k"),
	HONOURED("X-Coracle", "OnBootSec", x_on_boot, TIME " after boot: started then, and not before"),
	HONOURED("X-Coracle", "OnCalendar", x_on_calendar, "hourly, daily, weekly, monthly, or [Mon..Fri] [*-MM-DD] HH:MM with *, lists, A..B and A/STEP (systemd.time(7)), in UTC: started at each such minute, and not at boot"),
	HONOURED("X-Coracle", "HealthTcp", x_health_tcp, "a port: healthy where 127.0.0.1 of the unit's network takes a connection; instead of HealthCmd="),
	HONOURED("X-Coracle", "HealthHttp", x_health_http, "PORT/PATH: healthy where 127.0.0.1 of the unit's network answers a GET with 200 to 399; instead of HealthCmd="),
	HONOURED("X-Coracle", "OomScoreAdjust", x_oom, "-1000 to 1000"),
};

enum { KEYS = sizeof(keys) / sizeof(*keys), NEAR_MAX = 4 };

const struct unit_key *unit_keys_at(size_t index)
{
	return index < KEYS ? &keys[index] : NULL;
}

const struct unit_key *unit_keys_find(const char *section, const char *name)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

const struct unit_key *unit_keys_near(const char *section, const char *name)
{
	const struct unit_key *best = NULL;
	unsigned least = NEAR_MAX * 4;

	for (size_t i = 0; i < KEYS; i++) {
		bool is_here = strcmp(keys[i].section, section) == 0;
		unsigned d = quadlet_distance(keys[i].name, name);
		unsigned cost = d * 4 + !is_here * 2u + (keys[i].kind == UNIT_KEY_REFUSED);

		/* A key of the same name in another section comes before a distant one of this. */
		if (d < NEAR_MAX && d < strlen(name) && cost < least) {
			least = cost;
			best = &keys[i];
		}
	}
	return best;
}

bool unit_keys_has_section(const char *section)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0)
			return true;
	return false;
}
