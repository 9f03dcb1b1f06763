# SPDX-License-Identifier: MIT
# Everything coracle: its static programs for three targets, their tests, the boards. `make help` lists the targets.

MACHINE := $(shell uname -m)
TARGET ?= $(MACHINE:armv7l=armv7)
TARGETS := x86_64 aarch64 armv7
BOARD ?= qemu-x86_64
O ?= build
B := $(O)/$(TARGET)
P := $(B)/deps
PYTHON := /usr/bin/python3
.DEFAULT_GOAL := all
export O TARGET ACCEL VENDOR
# Named by the caller: the tests boot this board alone, with every test they have for it.
ifneq ($(origin BOARD),file)
export BOARD
endif

GNU_x86_64 := x86_64-linux-gnu
GNU_aarch64 := aarch64-linux-gnu
GNU_armv7 := arm-linux-gnueabihf
GNU := $(GNU_$(TARGET))

CC := $(P)/bin/musl-gcc
CPPFLAGS := -D_GNU_SOURCE -DMBEDTLS_CONFIG_FILE='"coracle_mbedtls_config.h"' -I$(B) -Ilib -Iinit -Ibundle -Ifetch -Inet -isystem $(P)/include
CFLAGS := -std=c11 -Oz -g -fPIE -fstack-protector-strong -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
	-Wall -Wextra -Wno-unused-parameter -Werror=implicit-function-declaration -Wno-format-truncation -Werror=format \
	-ffile-prefix-map=$(CURDIR)/=
# x86_64: relative relocations as bits (musl's start code reads both), 65 KB less in all; the linkers of the other two don't know it yet.
# One segment for code and constants: 8 KB less of each program, and no page is writable and executable either way.
RELR_x86_64 := ,-z,pack-relative-relocs,-z,noseparate-code
LDFLAGS := -static-pie -L$(P)/lib -Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none$(RELR_$(TARGET))
# Each program is put together as one unit by the linker (objects hold both forms; the tests link the plain one): 20 KB less of all. In coracle-init and
# coracle-net printf by its own name must not be seen through, and arrays of characters are guarded, not every local that has an address.
SMALL := -fstack-protector -fmerge-all-constants -fno-move-loop-invariants -fno-tree-loop-im
$(B)/init/%.o $(B)/net/%.o $(B)/lib/%.o: CFLAGS += -flto -ffat-lto-objects $(SMALL)
$(B)/fetch/%.o $(B)/bundle/%.o: CFLAGS += -flto -ffat-lto-objects
$(B)/init/format.o: NO_LTO := -fno-lto
LTO := -fno-lto
$(B)/coracle-init $(B)/coracle-net: $(B)/init/format.o $(B)/init/small.o
$(B)/coracle-init $(B)/coracle-net: LTO := -flto=1 -flto-partition=one -Oz -fPIE -fno-asynchronous-unwind-tables $(SMALL) -Wl,-O2 $(B)/init/format.o $(B)/init/small.o
$(B)/coracle-fetch $(B)/coracle-bundle: LTO := -flto=1 -flto-partition=one -Oz -fPIE -fno-asynchronous-unwind-tables -fmerge-all-constants -fstack-protector-strong -Wl,-O2
WRAPS_fetch := -Wl,--wrap=mbedtls_gcm_auth_decrypt,--wrap=recv,--wrap=poll
LIBS_init :=
LIBS_fetch := -lcurl -lmbedcrypto -lyyjson -lcap
# gzip: by the faster of two libraries; the other's half is not built.
GZIP_x86_64 := isal
GZIP := $(or $(GZIP_$(TARGET)),z)
NO_GZIP := $(if $(filter isal,$(GZIP)),bundle/gzip_zlib.c,bundle/gzip_isal.c bundle/crc.c)
LIBS_bundle := -larchive -lzstd -l$(GZIP) -lyyjson -lcap -lmbedcrypto
LIBS_net :=

FOLDERS := lib init fetch bundle net
# CONFIG_NETWORKS=n: no coracle-net.
NET := $(if $(shell grep -s '^\# CONFIG_NETWORKS is not set' .config),,net)
# format.c and small.c take the C library's place in coracle-init and coracle-net alone.
objects = $(patsubst %.c,$(B)/%.o,$(filter-out %_main.c init/format.c init/small.c $(NO_GZIP),$(wildcard $(1)/*.c)))
archive = $(B)/$(1)/lib$(1).a
PROGRAMS := $(patsubst %/,$(B)/coracle-%,$(foreach f,init fetch bundle $(NET),$(f)/))
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(filter-out $(if $(filter z,$(GZIP)),%/crc_test.c),$(wildcard tests/unit/*_test.c)))

.DEFAULT_GOAL := all
# V=1 shows the commands.
$(V).SILENT:

.PHONY: all soak help setup unit check check-full size pytest bench run host image kernel vendor licences clean menuconfig defconfig boards-check $(TARGETS)

all: $(PROGRAMS) $(B)/coracle
	echo "built $(PROGRAMS)"

help:
	echo "make                 the programs for this machine, into $(O)/$(MACHINE)/"
	echo "make TARGET=T        for x86_64, aarch64 or armv7"
	echo "make run [BOARD=B]   boot a QEMU board at its console: $(notdir $(wildcard boards/qemu-*))"
	echo "make host            the same without QEMU, in namespaces"
	echo "make image BOARD=B   a disk image to flash, $(O)/B/B.img; ETC=DIR becomes its /etc/coracle; PRELOAD=oci-archive:UNIT.tar"
	echo "                     OWN_KERNEL=1: with the kernel of make kernel; FIRMWARE=DIR|debian: of a Raspberry Pi (boards/raspberrypi4/README.md)"
	echo "make kernel BOARD=B  the kernel of board B, built from Debian's source where it has its own, and what coracle asks of it"
	echo "make check           every test; closes with 'N passed, N failed'; BOARD=B: boots that board, in all tests"
	echo "make check-full      the same, with what takes longer than CI has"
	echo "make unit | pytest   the unit tests; the system tests"
	echo "make soak [T=S]      a board with nine bad units for S seconds (3600): the memory of PID 1 stays"
	echo "make bench           figures against crun, runc, podman, umoci, tar; each bench aborts when a peer fails"
	echo "make size            bytes of each program against its budget; fails above it"
	echo "make menuconfig      change limits (Kconfig); make defconfig: back to the defaults"
	echo "make vendor          gather every library source in vendor/; make VENDOR=vendor builds from it, offline"
	echo "make licences        what is linked, under which licence"
	echo "make setup           install the Debian packages that the above need"
	echo "make clean           remove $(O)/ (built libraries stay in the cache)"
	echo "V=1 shows commands, O=DIR builds elsewhere, CORACLE_CACHE=DIR moves the cache (default ~/.cache/coracle)"

setup:
	deps/setup

# Libraries: built once for each state of deps/, outside the checkout; $(P) points there.
$(B)/deps.stamp: $(wildcard deps/* deps/recipes/*)
	mkdir -p $(B)
	prefix=$$(deps/build $(TARGET)) && ln -sfn "$$prefix" $(P) && touch $@

.config:
	$(PYTHON) deps/kconfig.py defconfig
$(B)/config.h: .config Kconfig deps/kconfig.py
	mkdir -p $(B)
	$(PYTHON) deps/kconfig.py header $@
menuconfig:
	$(PYTHON) -m menuconfig
defconfig:
	$(PYTHON) deps/kconfig.py defconfig

# What makes bundles, by the hash of its sources: a bundle's name covers it.
$(B)/generator.h: $(sort $(wildcard bundle/*.[ch] lib/*.[ch])) deps/lock $(B)/config.h
	mkdir -p $(@D)
	(for f in $^; do cat $$f; done) | sha256sum | sed 's/^\(.\{32\}\).*/#define BUNDLE_GENERATOR "\1"/' > $@.new
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
$(B)/bundle/bundle_make.o: $(B)/generator.h

$(B)/%.o: %.c $(B)/config.h $(B)/deps.stamp
	mkdir -p $(@D)
	echo "CC $(TARGET) $<"
	$(CC) $(CPPFLAGS) $(CFLAGS) $(NO_LTO) -MMD -MP -c -o $@ $<

define folder_rules
$(call archive,$(1)): $(call objects,$(1))
	mkdir -p $$(@D)
	rm -f $$@ && $(GNU)-ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

# coracle-fetch reads and writes the store through bundle/store*.c and launches the unpacker.
ARCHIVES_init := $(call archive,init) $(call archive,lib)
ARCHIVES_fetch := $(call archive,fetch) $(call archive,bundle) $(call archive,lib)
# coracle-bundle is the client too.
ARCHIVES_bundle := $(call archive,bundle) $(call archive,init) $(call archive,lib)
ARCHIVES_net := $(call archive,net) $(call archive,lib)
define program_rules
$(B)/coracle-$(1): $(B)/$(1)/$(1)_main.o $(ARCHIVES_$(1))
	echo "LD $(TARGET) $$(@F)"
	$(CC) $$(LDFLAGS) $(WRAPS_$(1)) $$(LTO) -o $$@.debug $$< -Wl,--start-group $(ARCHIVES_$(1)) $(LIBS_$(1)) -Wl,--end-group
	$(GNU)-strip -s -o $$@ $$@.debug
endef
$(foreach f,init fetch bundle net,$(eval $(call program_rules,$(f))))
$(B)/coracle: | $(B)/coracle-init
	ln -sfn coracle-init $@

ALL_ARCHIVES := $(foreach f,$(FOLDERS),$(call archive,$(f)))
$(B)/unit/%: $(B)/tests/unit/%.o $(ALL_ARCHIVES)
	mkdir -p $(@D)
	$(CC) $(LDFLAGS) $(LTO) -o $@ $< -Wl,--start-group $(ALL_ARCHIVES) $(LIBS_bundle) -lz -lcurl -lcmocka -Wl,--end-group
unit-programs: $(UNIT)
unit: unit-programs
	$(PYTHON) tests/check.py --unit
pytest: all
	$(PYTHON) tests/check.py --pytest

$(TARGETS):
	$(MAKE) --no-print-directory TARGET=$@ all
check: setup
	for t in $(TARGETS); do $(MAKE) --no-print-directory TARGET=$$t all || exit 1; done
	$(PYTHON) tests/size.py
	$(MAKE) --no-print-directory unit-programs
	$(PYTHON) tests/check.py
check-full:
	CORACLE_FULL=1 $(MAKE) --no-print-directory check

size: $(TARGETS)
	$(PYTHON) tests/size.py

bench: setup $(TARGETS)
	deps/setup bench-packages.txt
	for b in $(wildcard tests/bench/bench-*); do echo "== $$b"; $$b || exit 1; done

run: setup
	boards/common/run.sh $(BOARD)
host: setup all
	tests/demo/host.sh
image: setup
	. boards/$(BOARD)/board && $(MAKE) --no-print-directory TARGET=$$TARGET all
	[ -z "$(OWN_KERNEL)" ] || deps/setup ../boards/common/kernel-packages.txt
	$(PYTHON) boards/common/image.py $(BOARD) $(if $(ETC),--etc $(ETC)) $(PRELOAD:%=--preload %) $(if $(OWN_KERNEL),--kernel OWN_KERNEL) $(if $(FIRMWARE),--firmware $(FIRMWARE))
kernel: setup
	! grep -q ^OWN_KERNEL= boards/$(BOARD)/board || deps/setup ../boards/common/kernel-packages.txt
	$(PYTHON) boards/common/linux.py $(BOARD)
boards-check: setup
	$(PYTHON) -m pytest -q tests/boards
soak: setup all
	SOAK_S=$(or $(T),3600) $(PYTHON) -m pytest -q -s tests/boards/test_soak.py
vendor:
	deps/fetch vendor
	echo "vendor/ holds every source of deps/lock; build offline: make VENDOR=vendor"
licences:
	cat deps/licences
clean:
	rm -rf $(O)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
