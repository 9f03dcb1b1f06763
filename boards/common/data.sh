#!/bin/bash
# SPDX-License-Identifier: MIT
# boards/common/data.sh FILE [MIB]: makes a disk image with one GPT partition, labelled coracle-data, holding an empty ext4.
# Nothing is mounted; no root needed. A file that is there already is kept.
set -euo pipefail
file=$1 mib=${2:-512}
[ ! -e "$file" ] || exit 0
export PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$(dirname "$file")"
trap 'rm -f "$file.new"' EXIT
truncate -s "${mib}M" "$file.new"
echo "start=2048, size=$(((mib - 2) * 2048)), type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=coracle-data" |
	sfdisk -q --label gpt "$file.new"
# 4096-byte blocks: on a small image mke2fs takes 1024, with which fs-verity does not mount.
mke2fs -q -F -t ext4 -b 4096 -L coracle-data -E offset=1048576,root_owner=0:0 "$file.new" "$((mib - 2))M"
mv "$file.new" "$file"
