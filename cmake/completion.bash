# bash completion for presize. What there is to complete, presize says itself: --words prints the tables that --help
# and --keys print. SPDX-License-Identifier: MIT

# Names in a folder that have MARK inside: sets, runs and studies. Hidden ones are none.
_presize_folders() { # FOLDER MARK
    local path
    for path in "$1"/*/"$2"; do
        [ -e "$path" ] && path=${path%/"$2"} && printf '%s\n' "${path##*/}"
    done
}

_presize_tool() { # TOOL ARGUMENT...
    "${COMP_WORDS[0]/#\~/$HOME}" "$@" 2>/dev/null
}

_presize_sets() { _presize_folders "$data" manifest.jsonl; }
_presize_runs() { _presize_folders "$results" run.json; }

# Words for the option or argument KIND.
_presize_kind() { # TOOL KIND
    case $2 in
    --exp | -e) _presize_tool train --words=experiments ;;
    --set) _presize_sets ;;
    --resume | --replay) _presize_runs ;;
    --backend | -B) printf '%s\n' auto cpu ref cuda ;;
    --split) printf '%s\n' train valid test ;;
    esac
}

# The key of an open word KEY=..., with each value that its range lists.
_presize_values() { # TOOL KEY
    local name preset range help value
    while IFS=$'\t' read -r name preset range help; do
        [[ ${2//.[0-9]*([0-9])./.N.} == "$name" ]] || continue
        [ "$name" = data.set ] && _presize_sets
        case $range in
        text* | list* | any* | *' to '* | *≥* | *≤*) printf '%s\n' "$preset" ;;
        *) for value in ${range//,/}; do printf '%s\n' "$value"; done ;;
        esac
    done < <(IFS=$' \t\n' _presize_tool "$1" --words=keys | sed 's/\t\t/\t \t/g')
}

_presize_arguments() { # TOOL CURRENT
    case $1 in
    fetch) _presize_tool fetch --list --data "$data" | sed -n '2,$s/^\([^ ]\+\).*/\1/p' ;;
    prep)
        _presize_tool prep --words=datasets
        _presize_tool prep --words=keys | cut -f 1 | sed 's/$/=/'
        ;;
    train) # items of lists by the number that stands there, else 0
        local number=0
        [[ $word =~ \.([0-9]+)\. ]] && number=${BASH_REMATCH[1]}
        _presize_tool train --words=keys | cut -f 1 | sed "s/\.N\./.$number./; s/\$/=/"
        ;;
    eval)
        _presize_runs
        _presize_folders "$results" study.json
        ;;
    esac
}

_presize() {
    local word=${COMP_LINE:0:COMP_POINT} words data=${PRESIZE_DATA:-data} results=results
    local tool previous option prefix= IFS=$'\n'
    local shopt_extglob
    shopt -q extglob && shopt_extglob=-s || shopt_extglob=-u
    shopt -s extglob
    COMPREPLY=()
    # Words between blanks: bash would split KEY=VALUE, and leave the pieces to this function.
    IFS=$' \t' read -r -a words <<<"$word"
    [[ $word == *[[:blank:]] ]] && words+=("")
    word=${words[-1]}
    tool=${words[1]-}
    previous=${words[-2]}
    for option in "${!words[@]}"; do
        case ${words[option]} in
        --data) data=${words[option + 1]-} ;;
        --data=*) data=${words[option]#*=} ;;
        --results) results=${words[option + 1]-} ;;
        --results=*) results=${words[option]#*=} ;;
        esac
    done
    data=${data/#\~/$HOME}
    results=${results/#\~/$HOME}

    local candidates argument
    if [ ${#words[@]} -le 2 ]; then
        candidates=$'fetch\nprep\ntrain\neval\nhelp\n--version'
    else
        case $tool in fetch | prep | train | eval) ;; *)
            shopt $shopt_extglob extglob
            return
            ;;
        esac
        case $word in --*=*) previous=${word%%=*} prefix=$previous= ;; esac
        # The argument that the option before the cursor takes; "[N]" goes with = only.
        argument=$(_presize_tool "$tool" --words=options |
            awk -F '\t' -v o="$previous" '($1 == o || $2 == o) && $3 !~ /^\[/ { print $3 }')
        if [ -n "$argument" ]; then
            candidates=$(_presize_kind "$tool" "$previous")
            if [ -z "$candidates" ]; then
                case $argument in
                DIR*) candidates=$(compgen -d -- "${word#"$prefix"}") ;;
                FILE*) candidates=$(compgen -f -- "${word#"$prefix"}") ;;
                esac
                compopt -o filenames 2>/dev/null
            fi
        else
            prefix=
            case $word in
            -*)
                candidates=$(_presize_tool "$tool" --words=options |
                    awk -F '\t' '{ print $1 ($3 == "" || $3 ~ /^\[/ ? "" : "=") } END { print "--help" }')
                ;;
            *=*)
                prefix=${word%%=*}=
                candidates=$(_presize_values "$tool" "${word%%=*}")
                ;;
            *)
                candidates=$(_presize_arguments "$tool")
                [[ " ${words[*]} " == *--predict* ]] && candidates=$(compgen -f -- "$word")
                ;;
            esac
        fi
    fi
    mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "${word#"$prefix"}")
    # What is put in replaces bash's own last piece, which begins behind the last "=".
    if [ -n "$prefix" ] && [[ $COMP_WORDBREAKS != *=* ]]; then COMPREPLY=("${COMPREPLY[@]/#/$prefix}"); fi
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    shopt $shopt_extglob extglob
}
complete -F _presize presize
