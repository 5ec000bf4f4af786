# shellcheck shell=bash
# Inputs of the golden cases, made in the current folder. Nothing here is evidence: headers of a few bytes.
mkdir folder
: >empty
printf '\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00' >picture.jpg
printf '%%PDF-1.7\n' >paper.pdf
{ printf 'MZ'; head -c 58 /dev/zero; printf '\x40\x00\x00\x00PE\x00\x00\x64\x86'; head -c 4096 /dev/zero; } >program.exe
{ printf 'MDMP\x93\xa7\x00\x00'; head -c 4096 /dev/zero; } >process.mdmp
{ printf 'PK\x03\x04'; head -c 64 /dev/zero; } >archive.zip
head -c 65536 /dev/zero >zeros.raw
printf 'hello\n' >text.txt
# A file name that tries to steer the terminal.
printf 'x' >"$(printf 'a\033[2Jb')"
# The first 8192 bytes of a 64-bit crash dump (machine x64, type full), and nothing behind them.
{
	printf 'PAGEDU64\x0f\x00\x00\x00\x61\x4a\x00\x00'
	head -c 32 /dev/zero
	printf '\x64\x86\x00\x00\x04\x00\x00\x00'
	head -c 3936 /dev/zero
	printf '\x01\x00\x00\x00'
	head -c 4196 /dev/zero
} >header-only.dmp
