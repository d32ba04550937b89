# Hooks: our few lines inside upstream's files, each placed by one short anchor
# that must match exactly once. The format is described in upstream/README.md.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import difflib
import re
from dataclasses import dataclass, field

from .common import HOOKS, Failure

FIELDS = ('series', 'why', 'in', 'after', 'before', 'replace', 'add')
PLACES = ('after', 'before', 'replace')


@dataclass
class Hook:
    """One insertion; `where` is its hook file and line, for messages."""
    where: str
    fields: dict = field(default_factory=dict)
    add: list = field(default_factory=list)

    @property
    def kind(self):
        return next(place for place in PLACES if place in self.fields)

    @property
    def series(self):
        """The series of patches that it belongs to; None: the last one."""
        return self.fields.get('series')

    @property
    def anchor(self):
        return self.fields[self.kind]


def split(text):
    """Its lines. str.splitlines() would split at form feeds, too, and with them
    lose bytes of upstream's."""
    return text.removesuffix('\n').split('\n')


def parse(text, name):
    """The hooks of one hook file."""
    hooks = []
    for number, line in enumerate(split(text), 1):
        bare = line.strip()
        if bare == '---' or not hooks:
            hooks.append(Hook(f'{name}:{number}'))
        if bare and bare != '---' and not bare.startswith('#'):
            parse_line(hooks[-1], bare, line, f'{name}:{number}')
    for hook in hooks:
        check_fields(hook)
    return hooks


def parse_line(hook, bare, line, where):
    if bare.startswith('|'):
        added = line.lstrip()[1:]
        if 'add' not in hook.fields or added[:1].strip():
            raise Failure(f'{where}: a line to add is `| ` and its text, '
                          'after `add:`')
        hook.add.append(added[1:])
        return
    key, colon, value = bare.partition(':')
    if not colon or key not in FIELDS:
        raise Failure(f'{where}: {bare!r} is no field; the fields are '
                      f'{", ".join(FIELDS)}')
    if key in hook.fields:
        raise Failure(f'{where}: second {key}: in one hook; '
                      'a line `---` begins the next hook')
    hook.fields[key] = value.strip()


def check_fields(hook):
    places = [place for place in PLACES if hook.fields.get(place)]
    if not hook.fields.get('why'):
        raise Failure(f'{hook.where}: no why:; say what the lines are for, and '
                      'why nothing better than a hook serves')
    if len(places) != 1:
        raise Failure(f'{hook.where}: {len(places)} anchors; '
                      f'a hook has one of {", ".join(PLACES)}')
    if not hook.add:
        raise Failure(f'{hook.where}: nothing to add')


def apply(text, hooks, path):
    """Upstream's text with all hooks in it. Every anchor is looked up in the
    pristine text, so hooks do not see each other."""
    lines = split(text)
    inserts, replaced = {}, {}
    for hook in hooks:
        at = find_anchor(lines, hook, path)
        if hook.kind == 'replace':
            if at in replaced:
                raise Failure(f'{hook.where}: line {at + 1} of {path} is '
                              'replaced twice; join the two hooks')
            replaced[at] = hook.add
        else:
            at += hook.kind == 'after'
            inserts.setdefault(at, []).extend(hook.add)
    out = []
    for number, line in enumerate(lines + [None]):
        out += inserts.get(number, [])
        if line is not None:
            out += replaced.get(number, [line])
    return '\n'.join(out) + '\n'


def find_anchor(lines, hook, path):
    """The index of the one line in scope that contains the anchor."""
    first, last = 0, len(lines)
    if hook.fields.get('in'):
        first, last = scope(lines, hook, path)
        if hook.anchor in '{}' and is_c(path):
            return brace(lines, hook.anchor, first, last)
    found = [n for n in range(first, last) if hook.anchor in lines[n]]
    if len(found) != 1:
        raise Failure(refusal(lines, hook, path, hook.anchor, found,
                              range(first, last)))
    return found[0]


# A hook asks a function of ours, and does what must stand where it stands.
CONDITION = re.compile(r'\bif \((.*?)\) \{', re.S)
ASKS_US = re.compile(r'!?(virt_realm|realm|arm_page_tags|page_tags)_\w+\(.*\)',
                     re.S)
CHOICE = re.compile(r'\b(?:for|while|do|switch|else|goto)\b'
                    r'|&&|\|\||\?|[=!<>]=|(?<!-)[<>]')


def decisions(hook, path):
    """What a hook in C decides by itself; upstream/README.md says what it
    may: ask one function of ours, unless upstream's work had failed before."""
    code = '\n'.join(line for line in hook.add if not line.startswith('#'))
    if not is_c(path):
        return []
    found = []

    def condition(match):
        asked = ' '.join(match[1].split())
        if asked == 'ret == 0':
            return ''
        if ASKS_US.fullmatch(asked) and not CHOICE.search(asked):
            return ''
        found.append(f'if ({asked})')
        return ''
    rest = CONDITION.sub(condition, code)
    return found + CHOICE.findall(rest)


def is_c(path):
    return str(path).endswith(('.c', '.h', '.inc', '.c.inc', '.h.inc'))


def scope(lines, hook, path):
    """The lines [first, last) that `in:` names: in C the definition of that
    name, elsewhere everything from the line with that text on."""
    name = hook.fields['in']
    if is_c(path):
        found = definitions(lines, name)
    else:
        found = [n for n, line in enumerate(lines) if name in line]
    if len(found) != 1:
        raise Failure(refusal(lines, hook, path, name, found,
                              range(len(lines))))
    if not is_c(path):
        return found[0], len(lines)
    end = found[0]
    while end < len(lines) and not lines[end].startswith('}'):
        end += 1
    return found[0], end + 1


def definitions(lines, name):
    """Where a definition with a body of that name begins: a line in column 0
    with the name (a function's if there is one), then `{` before any `;`."""
    word = re.compile(rf'\b{re.escape(name)}\b')
    found = [n for n, line in enumerate(lines)
             if re.match(r'[A-Za-z_]', line) and word.search(line)
             and opens_body(lines, n)]
    call = re.compile(rf'\b{re.escape(name)}\s*\(')
    return [n for n in found if call.search(lines[n])] or found


def opens_body(lines, start):
    for line in lines[start:start + 30]:
        bare = re.sub(r'/\*.*?\*/|//.*', '', line).rstrip()
        if bare.endswith('{'):
            return True
        if bare.endswith((';', '}')) or not bare:
            return False
    return False


def brace(lines, which, first, last):
    """The opening or the closing brace of the definition in scope."""
    if which == '}':
        return last - 1
    return next(n for n in range(first, last)
                if lines[n].rstrip().endswith('{'))


def refusal(lines, hook, path, text, found, where):
    """Why an anchor or a scope does not fit, with the nearest candidates."""
    message = (f'{hook.where}: {text!r} matches {len(found)} times in {path}'
               f'{" in " + hook.fields["in"] if hook.fields.get("in") else ""}, '
               'must be once; ')
    if found:
        near = found[:5]
        message += 'make it longer or give a scope (in:)'
    else:
        bare = {lines[n].strip(): n for n in where}
        close = difflib.get_close_matches(text, list(bare), 3, 0.5)
        near = [bare[line] for line in close]
        message += 'choose another line as the anchor'
    return message + ''.join(f'\n    {path}:{n + 1}: {lines[n].strip()}'
                             for n in near)


def files(folder=HOOKS):
    """{upstream path: hook file}."""
    found = {}
    for file in sorted(folder.rglob('*')):
        if file.is_dir() or file.name.startswith('.'):
            continue
        if file.suffix != '.hook':
            raise Failure(f'{file}: not a hook file; its name ends in .hook')
        found[str(file.relative_to(folder))[:-len('.hook')]] = file
    return found


def hooked(pristine, folder=HOOKS, wanted=lambda hook: True):
    """{upstream path: text with the hooks applied}, all or nothing; and the
    hooks themselves as {upstream path: [Hook]}. Only those that are wanted."""
    texts, all_hooks, problems = {}, {}, []
    for path, file in files(folder).items():
        name = f'{path}.hook'
        try:
            if not (pristine / path).is_file():
                raise Failure(f'{name}: QEMU has no file {path}; '
                              'move or delete the hook file')
            chosen = [hook for hook in parse(file.read_text(), name)
                      if wanted(hook)]
            if not chosen:
                continue
            all_hooks[path] = chosen
            texts[path] = apply((pristine / path).read_text(), chosen, path)
        except Failure as problem:
            problems.append(str(problem))
    if problems:
        raise Failure('\n'.join(problems))
    return texts, all_hooks
