# What bash completes of a command of the Realms: options and commands, as the
# program itself lists them, names of guests, and files.
#
# SPDX-License-Identifier: GPL-2.0-or-later

_realm_completion()
{
    local program=$1 word=$2 list
    local commands='^    ([a-z]+) .*'

    case $program:$COMP_CWORD:${COMP_WORDS[1]}:$word in
    *realm-vm:1:*:[!-]* | *realm-vm:1::)
        list=$("$program" --help | sed -nE "s/$commands/\1/p")
        ;;
    *realm-vm:2:console:* | *realm-vm:2:migrate:* | *realm-vm:2:stop:* | \
    *realm-vm:2:token:*)
        list=$("$program" list | sed -nE '3,$s/^([^ ]+) .*/\1/p')
        ;;
    *realm-vm:*:*:-*)
        list=$("$program" "${COMP_WORDS[1]}" --help |
               grep -oE -- '--[a-z][a-z-]*')
        ;;
    *qemu-system-*:*:*:-*)
        list=$("$program" -help | sed -nE 's/^(-[a-z-]+).*/\1/p')
        ;;
    *:*:*:-*)
        list=$("$program" --help | grep -oE -- '--[a-z][a-z-]*')
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$list" -- "$word" | sort -u)
}

complete -o default -F _realm_completion qemu-system-aarch64-realm \
    realm-measure realm-migrate realm-stream realm-verify realm-vm
