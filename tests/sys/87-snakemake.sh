#!/usr/bin/env bash
# contrib/snakemake, where Snakemake is installed (it is big, and no dependency of the tests): a pipeline that fails in the middle, and goes on; the result
# is that of one batch.
set -u
cd "$SCRATCH" || exit 1
command -v snakemake >/dev/null || { echo "snakemake is not installed"; exit 77; }
fail=0
bad() { echo "$*"; fail=1; }
export HOME=$SCRATCH
for i in 1 2 3 4 5; do "$TOOLS/mktriage" image-$i.dmp && echo $i >>image-$i.dmp || exit 1; done
echo "no image" >notes.txt
ls image-*.dmp notes.txt >list.txt
smk() { snakemake -q -s "$TOP/contrib/snakemake/Snakefile" --cores 2 --keep-going --config list=list.txt out=out parts=4 "$@" >smk.log 2>&1; }
# the program fails in one part, after it has done an image
cat >failing <<F
#!/bin/sh
"$ETLIFT" "\$@"
s=\$?
case "\$*" in *"--part 2/4"*) kill -9 \$\$ ;; esac
exit \$s
F
chmod +x failing
smk etlift="$PWD/failing" && bad "a part that is killed is no failure"
[ -e out/batch.json ] && bad "a sum without a part"
[ -e out/image-2.dmp/job.json ] || bad "what was recovered is deleted"
touch -d 2001-01-01 out/image-2.dmp out/image-3.dmp
smk etlift="$ETLIFT" || { bad "the pipeline: $?"; tail -n 20 smk.log; }
[ "$(date -r out/image-2.dmp +%Y)" = 2001 ] && [ "$(date -r out/image-3.dmp +%Y)" = 2001 ] || bad "done again"
"$ETLIFT" batch -q --list list.txt -o plain 2>err.txt
[ $? = 3 ] || bad "the batch that it is compared with"
diff -r plain out || bad "another result than that of etlift batch"
exit $fail
