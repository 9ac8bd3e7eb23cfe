# SPDX-License-Identifier: GPL-2.0
# Completion of aopstat for fish. Commands and options are read from the program's own help, ids are those of now.

function __aopstat_commands
	aopstat --help 2>/dev/null | string replace -rf '^  ([a-z]+) +(.*)' '$1\t$2'
end

function __aopstat_options
	set -l words (commandline -opc)
	set -l command live
	if test (count $words) -ge 2; and not string match -q -- '-*' $words[2]
		set command $words[2]
	end
	aopstat $command --help 2>/dev/null | string replace -rf '^  .*(--[a-z-]+)(?:=[A-Z]+)? +(.*)' '$1\t$2'
end

function __aopstat_ids
	aopstat list -n 1000 $argv --no-header -o id,state,label 2>/dev/null | string replace -r '^ *([0-9]+) +' '$1\t'
end

complete -c aopstat -f
complete -c aopstat -n __fish_use_subcommand -a '(__aopstat_commands)'
complete -c aopstat -n 'string match -q -- "-*" (commandline -ct)' -a '(__aopstat_options)'
complete -c aopstat -n '__fish_seen_subcommand_from show' -a '(__aopstat_ids)'
complete -c aopstat -n '__fish_seen_subcommand_from wait cancel' -a '(__aopstat_ids -f state=open)'
complete -c aopstat -n '__fish_seen_subcommand_from replay' -F
