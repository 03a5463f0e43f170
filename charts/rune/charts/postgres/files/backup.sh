#!/bin/sh
# Writes a dump of the database, reads it back, and only then counts it and lets old ones go.
#
# A dump under its own name is whole: it was read back, synced and renamed, with its checksum there first.
# Reads besides what client.sh reads: KEEP (how many dumps stay), COMPRESSION.
task=backup
. "${0%/*}/client.sh"

may_write_volume
wait_for_server
cd "$BACKUP_DIR"
# What former runs left when they were killed. A younger one may be at work beside us, and does us no harm.
find . -maxdepth 1 -name '.*.part' -mmin +1440 -exec rm -f {} +
for checksum in ./*.dump.sha256; do
  [ ! -e "$checksum" ] || [ -e "${checksum%.sha256}" ] || rm -f "$checksum"
done

name=$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump
[ ! -e "$name" ] || refuse "$name already exists"
say "dumping to $name"
pg_dump --format=custom --compress="$COMPRESSION" --no-owner --no-privileges --no-password --lock-wait-timeout=60s --file=".$name.part" || {
  rm -f ".$name.part"
  say "pg_dump failed for the reason above; older dumps are untouched. What the role $PGUSER may not read, give to it: ALTER TABLE … OWNER TO $PGUSER"
  exit 1
}
is_whole ".$name.part" || { rm -f ".$name.part"; say "the dump cannot be read back; older ones are untouched"; exit 1; }
sum=$(sha256sum <".$name.part")
printf '%s  %s\n' "${sum%% *}" "$name" >".$name.sha256.part"
sync -f .
mv ".$name.sha256.part" "$name.sha256"
mv ".$name.part" "$name"
sync -f .
say "$name is whole: $(wc -c <"$name") bytes"

# The names sort by time. Only dumps of this database count.
ls -1 | grep -E "^$PGDATABASE-[0-9]{8}T[0-9]{6}Z[.]dump\$" | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do
  rm -f "$old" "$old.sha256"
  say "removed $old, beyond the newest $KEEP"
done
