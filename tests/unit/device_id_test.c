/* SPDX-License-Identifier: MIT */
/* lib/device_id.c over made-up trees of sysfs and procfs. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "device_id.h"

static char top[64], sys_dir[80], proc_dir[80];

static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/device_id_test.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(sys_dir, sizeof(sys_dir), "%s/sys", top);
	snprintf(proc_dir, sizeof(proc_dir), "%s/proc", top);
	return 0;
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st, (void)kind, (void)where;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	return nftw(top, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, const char *bytes, size_t len)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", top, path);
	for (char *s = full + strlen(top) + 1; (s = strchr(s, '/')); s++) {
		*s = '\0';
		mkdir(full, 0755);
		*s = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static void card(const char *name, const char *mac, const char *assigned, int is_hardware)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), "sys/class/net/%s/address", name);
	snprintf(text, sizeof(text), "%s\n", mac);
	put(path, text, strlen(text));
	snprintf(path, sizeof(path), "sys/class/net/%s/addr_assign_type", name);
	put(path, assigned, strlen(assigned));
	snprintf(path, sizeof(path), "sys/class/net/%s/device/uevent", name);
	if (is_hardware)
		put(path, "", 0);
}

static void expect(const char *known, const char *want)
{
	char out[DEVICE_ID_MAX] = "";

	assert_int_equal(device_id_find(sys_dir, proc_dir, known, out), want != NULL);
	if (want)
		assert_string_equal(out, want);
}

static void test_nothing_tells(void **state)
{
	(void)state;
	expect(NULL, NULL);
	card("lo", "00:00:00:00:00:00", "0\n", 0);
	card("veth1", "9a:00:00:00:00:01", "3\n", 1);	/* made up by the kernel, another at each boot */
	card("br0", "02:00:00:00:00:01", "0\n", 0);	/* no hardware */
	expect(NULL, NULL);
}

static void test_the_lowest_burnt_in_address(void **state)
{
	(void)state;
	card("eth1", "52:54:00:12:34:57", "0\n", 1);
	card("eth0", "52:54:00:AB:34:56", "0\n", 1);
	expect(NULL, "mac-525400123457");
	/* A card that was added does not change the name, one that is gone does. */
	expect("mac-525400ab3456", "mac-525400ab3456");
	expect("mac-ffffffffffff", "mac-525400123457");
}

static void test_the_firmwares_uuid(void **state)
{
	static const char uuid[] = "4C4C4544-0042-3510-8052-B4C04F4E5732\n", none[] = "00000000-0000-0000-0000-000000000000\n",
		often[] = "03000200-0400-0500-0006-000700080009\n";

	(void)state;
	card("eth0", "52:54:00:12:34:56", "0\n", 1);
	put("sys/class/dmi/id/product_uuid", none, strlen(none));
	expect(NULL, "mac-525400123456");
	put("sys/class/dmi/id/product_uuid", often, strlen(often));
	expect(NULL, "mac-525400123456");
	put("sys/class/dmi/id/product_uuid", uuid, strlen(uuid));
	expect("mac-525400123456", "uuid-4c4c4544-0042-3510-8052-b4c04f4e5732");
}

static void test_the_serial_number(void **state)
{
	static const char odd[] = "AB/..\x1b[31m 12";

	(void)state;
	card("eth0", "52:54:00:12:34:56", "0\n", 1);
	put("proc/device-tree/serial-number", "0000000000000000", 17);
	expect(NULL, "mac-525400123456");
	put("proc/device-tree/serial-number", "10000000c0FFee00", 17);	/* the NUL is part of it */
	expect(NULL, "serial-10000000c0ffee00");
	put("sys/firmware/devicetree/base/serial-number", odd, sizeof(odd));
	expect(NULL, "serial-ab31m12");
	put("sys/firmware/devicetree/base/serial-number", "None", 5);
	expect(NULL, "serial-10000000c0ffee00");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_tells, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_lowest_burnt_in_address, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_firmwares_uuid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_serial_number, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
