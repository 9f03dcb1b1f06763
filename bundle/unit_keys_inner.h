/* SPDX-License-Identifier: MIT */
/*
 * The readers of values behind the table of keys: unit_keys_container.c has those of [Container], unit_keys_service.c the others and
 * the small readers that both use. A reader gets one value with specifiers replaced; an empty value puts the key back to its default.
 */
#ifndef CORACLE_UNIT_KEYS_INNER_H
#define CORACLE_UNIT_KEYS_INNER_H

#include "unit_file.h"

/* Each 0, -EINVAL for a bad value, -EFBIG for too much. An empty V: NULL, an empty list, FALLBACK. */
int unit_value_text(struct unit_file *u, const char **field, const char *value);
int unit_value_add(struct unit_file *u, struct unit_list *l, const char *value);
/* Appends the words of VALUE. */
int unit_value_words(struct unit_file *u, struct unit_list *l, const char *value, bool (*is_good)(const char *word));
/* One value a line, not split. */
int unit_value_line(struct unit_file *u, struct unit_list *l, const char *value);
/* The words of a command line, instead of those before; "$$" is "$". */
int unit_value_command(struct unit_file *u, struct unit_list *l, const char *value);
int unit_value_bool(bool *field, const char *value, bool fallback);
int unit_value_ms(uint32_t *field, const char *value, uint32_t fallback);
int unit_value_size(uint64_t *field, const char *v, uint64_t fallback, uint64_t min);

/* An absolute path without ".."; NAME=VALUE. */
bool unit_value_is_path(const char *s);
bool unit_value_is_pair(const char *s);

/* One for each honoured key: struct unit_key's `set`. */
#define UNIT_KEYS_READER(name) int unit_keys_##name(struct unit_file *u, const char *v, struct err *e)
UNIT_KEYS_READER(auto_update);
UNIT_KEYS_READER(add_capability);
UNIT_KEYS_READER(add_device);
UNIT_KEYS_READER(secret);
UNIT_KEYS_READER(annotation);
UNIT_KEYS_READER(container_entrypoint);
UNIT_KEYS_READER(container_exec);
UNIT_KEYS_READER(container_name);
UNIT_KEYS_READER(drop_capability);
UNIT_KEYS_READER(environment);
UNIT_KEYS_READER(group);
UNIT_KEYS_READER(group_add);
UNIT_KEYS_READER(hostname);
UNIT_KEYS_READER(image);
UNIT_KEYS_READER(label);
UNIT_KEYS_READER(mask);
UNIT_KEYS_READER(memory);
UNIT_KEYS_READER(network);
UNIT_KEYS_READER(network_alias);
UNIT_KEYS_READER(add_host);
UNIT_KEYS_READER(dns);
UNIT_KEYS_READER(dns_option);
UNIT_KEYS_READER(dns_search);
UNIT_KEYS_READER(ip);
UNIT_KEYS_READER(ip6);
UNIT_KEYS_READER(publish_port);
UNIT_KEYS_READER(no_new_privileges);
UNIT_KEYS_READER(pids_limit);
UNIT_KEYS_READER(pull);
UNIT_KEYS_READER(read_only);
UNIT_KEYS_READER(run_init);
UNIT_KEYS_READER(read_only_tmpfs);
UNIT_KEYS_READER(restart);
UNIT_KEYS_READER(restart_max);
UNIT_KEYS_READER(restart_sec);
UNIT_KEYS_READER(seccomp_profile);
UNIT_KEYS_READER(service_type);
UNIT_KEYS_READER(shm_size);
UNIT_KEYS_READER(stop_signal);
UNIT_KEYS_READER(stop_timeout);
UNIT_KEYS_READER(sysctl);
UNIT_KEYS_READER(timeout_both);
UNIT_KEYS_READER(timeout_start);
UNIT_KEYS_READER(tmpfs);
UNIT_KEYS_READER(ulimit);
UNIT_KEYS_READER(unit_after);
UNIT_KEYS_READER(unit_burst);
UNIT_KEYS_READER(unit_description);
UNIT_KEYS_READER(unit_interval);
UNIT_KEYS_READER(unit_requires);
UNIT_KEYS_READER(unit_wants);
UNIT_KEYS_READER(remains);
UNIT_KEYS_READER(watchdog);
UNIT_KEYS_READER(exit_success);
UNIT_KEYS_READER(exit_prevent);
UNIT_KEYS_READER(exit_force);
UNIT_KEYS_READER(notify);
UNIT_KEYS_READER(x_on_boot);
UNIT_KEYS_READER(x_on_calendar);
UNIT_KEYS_READER(log_burst);
UNIT_KEYS_READER(log_interval);
UNIT_KEYS_READER(x_log_size);
UNIT_KEYS_READER(health_cmd);
UNIT_KEYS_READER(health_interval);
UNIT_KEYS_READER(health_timeout);
UNIT_KEYS_READER(health_start_period);
UNIT_KEYS_READER(health_retries);
UNIT_KEYS_READER(health_on_failure);
UNIT_KEYS_READER(startup_cmd);
UNIT_KEYS_READER(startup_interval);
UNIT_KEYS_READER(startup_timeout);
UNIT_KEYS_READER(startup_retries);
UNIT_KEYS_READER(startup_success);
UNIT_KEYS_READER(x_health_tcp);
UNIT_KEYS_READER(x_health_http);
UNIT_KEYS_READER(unmask);
UNIT_KEYS_READER(user);
UNIT_KEYS_READER(user_ns);
UNIT_KEYS_READER(volume);
UNIT_KEYS_READER(workdir);
UNIT_KEYS_READER(x_confirm);
UNIT_KEYS_READER(x_confirm_window);
UNIT_KEYS_READER(x_confirm_registry);
UNIT_KEYS_READER(x_update_interval);
UNIT_KEYS_READER(x_update_window);
UNIT_KEYS_READER(x_volume_on_update);
UNIT_KEYS_READER(x_pre_switch);
UNIT_KEYS_READER(x_pre_switch_sec);
UNIT_KEYS_READER(x_cpu_quota);
UNIT_KEYS_READER(x_cpu_weight);
UNIT_KEYS_READER(x_cpus);
UNIT_KEYS_READER(x_critical);
UNIT_KEYS_READER(x_refuse_secrets);
UNIT_KEYS_READER(x_enabled);
UNIT_KEYS_READER(x_memory_low);
UNIT_KEYS_READER(x_oom);
UNIT_KEYS_READER(x_swap);

#endif
