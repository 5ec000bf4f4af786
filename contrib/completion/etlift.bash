# bash completion for etlift; made by the program itself: see tools/man.sh
_etlift()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd="" opts i
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in -*) ;; *) cmd=${COMP_WORDS[i]}; break ;; esac
	done
	case $prev in
	--format) COMPREPLY=($(compgen -W 'jsonl csv xml timesketch pcapng evtx ' -- "$cur")); return ;;
	--color) COMPREPLY=($(compgen -W 'auto always never' -- "$cur")); return ;;
	esac
	case $cmd in
	'') opts='check profile info sessions consumers providers recover carve events scan batch --quiet --verbose --no-progress --color --version --help' ;;
	profile) opts='list show make merge --output --json --symbols --no-builtin --build --kernel-version --os --source --versions --force --quiet --verbose --no-progress --color --version --help' ;;
	check) opts=' --json --quiet --verbose --no-progress --color --version --help' ;;
	info) opts=' --json --symbols --profile --no-builtin --dtb --pagefile --sidecar --spill --sha256 --strict --threads --quiet --verbose --no-progress --color --version --help' ;;
	sessions) opts=' --json --symbols --profile --no-builtin --deep --dtb --session --pagefile --sidecar --spill --sha256 --strict --threads --quiet --verbose --no-progress --color --version --help' ;;
	consumers) opts=' --json --symbols --profile --no-builtin --dtb --session --pid --pagefile --sidecar --spill --sha256 --strict --threads --quiet --verbose --no-progress --color --version --help' ;;
	providers) opts=' --json --symbols --profile --no-builtin --dtb --session --provider --enabled --pid --pagefile --sidecar --spill --sha256 --strict --threads --quiet --verbose --no-progress --color --version --help' ;;
	recover) opts=' --output --json --symbols --profile --no-builtin --deep --carve --loose --dtb --session --pagefile --sidecar --spill --sha256 --no-residual --strict --force --threads --quiet --verbose --no-progress --color --version --help' ;;
	carve) opts=' --output --json --symbols --profile --no-builtin --deep --loose --dtb --session --pagefile --sidecar --spill --sha256 --no-residual --strict --force --threads --quiet --verbose --no-progress --color --version --help' ;;
	events) opts=' --output --format --symbols --profile --no-builtin --deep --carve --loose --dtb --session --provider --pid --tid --event --level --match --since --until --raw --manifest --tmf --pagefile --sidecar --spill --strict --threads --quiet --verbose --no-progress --color --version --help' ;;
	scan) opts=' --rules --decoded --memory --json --symbols --profile --no-builtin --deep --carve --loose --dtb --session --pagefile --sidecar --spill --threads --quiet --verbose --no-progress --color --version --help' ;;
	batch) opts=' --output --json --symbols --profile --no-builtin --deep --carve --loose --session --spill --sha256 --no-residual --strict --force --resume --list --part --sum-up --max-memory --threads --quiet --verbose --no-progress --color --version --help' ;;
	*) opts='' ;;
	esac
	if [[ -z $cmd || $cur == -* || $cmd == profile ]]; then
		COMPREPLY=($(compgen -W "$opts" -- "$cur"))
	fi
	[[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _etlift etlift
