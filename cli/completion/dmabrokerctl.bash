# SPDX-License-Identifier: MIT
# bash completion for dmabrokerctl

# Names from a listing: _dmabrokerctl_names COMMAND KEY. Nothing when there is no broker.
_dmabrokerctl_names()
{
	dmabrokerctl --json "$1" 2>/dev/null | tr '{,' '\n\n' |
		sed -n "s/^\"$2\":\"\\{0,1\\}\\([^\"}]*\\).*/\\1/p"
}

_dmabrokerctl_pci()
{
	local path
	for path in /sys/bus/pci/devices/*; do
		[ -e "$path" ] && echo "pci:${path##*/}"
	done
}

_dmabrokerctl()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous= words= options= command= i
	local global='--json --socket --help'
	COMPREPLY=()
	# Device names have colons in them, at which readline ends words.
	if declare -F _get_comp_words_by_ref >/dev/null; then
		local words_=() cword_
		_get_comp_words_by_ref -n : -c current -p previous -w words_ -i cword_
	else
		local words_=("${COMP_WORDS[@]}") cword_=$COMP_CWORD
		[ "$cword_" -gt 0 ] && previous=${words_[cword_ - 1]}
	fi

	for ((i = 1; i < cword_; i++)); do
		case ${words_[i]} in
		--)
			# The rest is a command of its own.
			declare -F _command_offset >/dev/null && _command_offset $((i + 1))
			return
			;;
		--socket) ((i++)) ;;
		-*) ;;
		*)
			if [ -z "$command" ]; then
				command=${words_[i]}
			elif [ "$command" = device ] || [ "$command" = buffer ]; then
				command="$command ${words_[i]}"
			fi
			;;
		esac
	done

	case $command in
	'')
		words='status doctor devices device alloc open buffers buffer clients accounts'
		options='--version'
		;;
	device) words='bind unbind set-mask release' ;;
	'device bind')
		options='--mask --coherent-mask --force'
		words=$(_dmabrokerctl_pci)
		;;
	'device unbind')
		options='--reprobe'
		words=$(_dmabrokerctl_pci)
		;;
	'device set-mask')
		options='--mask --coherent-mask'
		words=$(_dmabrokerctl_pci)
		;;
	'device release') words=$(_dmabrokerctl_pci) ;;
	alloc)
		options='--size --kind --attr --device --direction --count --name --share
			--share-read-only --hold --quiet --'
		;;
	open) options='--device --direction --hold --quiet --' ;;
	buffer) words='show' ;;
	'buffer show') words=$(_dmabrokerctl_names buffers id) ;;
	buffers | clients | accounts) options='--all' ;;
	esac

	case $previous in
	--socket)
		COMPREPLY=($(compgen -f -- "$current"))
		return
		;;
	--kind) words='coherent writecombine noncoherent' options= global= ;;
	--attr)
		words='force-contiguous no-kernel-mapping weak-ordering alloc-single-pages no-warn
			skip-cpu-sync'
		options= global=
		;;
	--direction) words='bidirectional to-device from-device none' options= global= ;;
	--device) words=$(_dmabrokerctl_names devices name) options= global= ;;
	--mask | --coherent-mask) words='28 30 32 36 40 48 64' options= global= ;;
	--size | --count | --name) return ;;
	esac

	COMPREPLY=($(compgen -W "$words $options $global" -- "$current"))
	declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$current"
	return 0
}

complete -F _dmabrokerctl dmabrokerctl
