#!/bin/sh
# staticlibs.sh CC -lNAME...: the same libraries, each as an archive where the compiler finds one; the C library stays shared.
cc=$1
shift
for flag in "$@"; do
	name=${flag#-l}
	case $flag in
	-lm | -ldl | -lpthread | -lc | -pthread) echo "$flag" ;;
	-l*) case $("$cc" -print-file-name="lib$name.a") in /*) echo "-l:lib$name.a" ;; *) echo "$flag" ;; esac ;;
	*) echo "$flag" ;;
	esac
done | awk '!seen[$0]++' | tr '\n' ' '
