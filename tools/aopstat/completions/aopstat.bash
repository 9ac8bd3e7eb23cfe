# SPDX-License-Identifier: GPL-2.0
# Completion of aopstat for bash. Commands and options are read from the program's own help, ids are those of now.

_aopstat()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} self=${COMP_WORDS[0]}
	local command=live words

	[[ $COMP_CWORD -lt 2 || ${COMP_WORDS[1]} = -* ]] || command=${COMP_WORDS[1]}
	case $prev in
	-o | --columns | -s | --sort)
		words=$("$self" list --help 2>/dev/null | sed -n '/^Columns:/,$p' | tail -n +2) ;;
	--color)
		words="auto always never" ;;
	-m | --reason)
		words="ECANCELED ETIMEDOUT EINTR EIO EBUSY ENOSPC" ;;
	-f | --filter)
		words="state= uid= pid= label= age> parent= id=" ;;
	-r | --from | -w | --output)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	*)
		case $cur in
		-*)	words=$("$self" "$command" --help 2>/dev/null | grep -oE -- '--[a-z-]+' | sort -u) ;;
		*)	if [[ $COMP_CWORD = 1 ]]; then
				words=$("$self" --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p')
			else
				case $command in
				show)		words=$("$self" list -n 1000 --no-header -o id 2>/dev/null) ;;
				wait | cancel)	words=$("$self" list -n 1000 -f state=open --no-header -o id 2>/dev/null) ;;
				replay)		mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
				run)		mapfile -t COMPREPLY < <(compgen -c -- "$cur"); return ;;
				esac
			fi ;;
		esac ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _aopstat aopstat
