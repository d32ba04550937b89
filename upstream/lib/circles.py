# No circles among our files: neither of headers that include each other, nor of
# sources that call each other, so that each can be read after those it stands on.
# And where a folder's header lists its sources "from leaf to root", it is right.
#
# What a source has and what it uses is found by words, without a compiler: the
# functions and variables that it defines for others, and their names in others.
# So a call through a table of functions is none: a file that has to call one
# which stands on it is given a table by that one.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import re
from pathlib import PurePosixPath

from .common import REPO

NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                   re.S)
DIRECTIVE = re.compile(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.M)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
# A name, but not a member's.
WORD = re.compile(r'(?<![.>\w])[A-Za-z_]\w*')
HEAD = re.compile(r'\s*/\*(.*?)\*/', re.S)
VARIABLE = re.compile(r'(?!(?:struct|union|enum)\s+\w+$)[A-Za-z_]\w*\b[\w\s*]*?'
                      r'\b(\w+)\s*(?:\[[^\]]*\]\s*)*(?:=.*)?', re.S)


def words(text):
    """The names in it, also in macros."""
    return set(WORD.findall(NOISE.sub(' ', text)))


def outside(text):
    """With `{}` for what is in braces."""
    out, depth = [], 0
    for part in re.split(r'([{}])', text):
        if part == '{':
            depth += 1
        elif part == '}':
            depth -= 1
            out += ['{}'] if not depth else []
        elif not depth:
            out.append(part)
    return ''.join(out)


def name_before_arguments(chunk):
    """`name` of `... name(...)`."""
    depth, at = 0, len(chunk)
    for at in range(len(chunk) - 1, -1, -1):
        depth += (chunk[at] == ')') - (chunk[at] == '(')
        if not depth:
            break
    found = re.search(r'(\w+)\s*$', chunk[:at])
    return found[1] if found else None


def definitions(text):
    """Names of the functions and variables that a source has for others."""
    names, code = set(), DIRECTIVE.sub('', NOISE.sub(' ', text))
    for chunk in re.sub(r'\)\s*\{\}', ')\1;', outside(code)).split(';'):
        chunk = chunk.strip().split('\n\n')[-1].strip()
        if re.match(r'(static|extern|typedef)\b', chunk):
            continue
        if chunk.endswith('\1'):
            names.add(name_before_arguments(chunk[:-1]))
        elif found := VARIABLE.fullmatch(chunk):
            names.add(found[1])
    return names - {None}


def call_graph(texts):
    """{source: {source: names of the second that the first uses}}; texts is
    {path: text} of sources and headers."""
    sources = {path: text for path, text in texts.items()
               if path.endswith('.c')}
    where = {}
    for path, text in sources.items():
        for name in definitions(text):
            where.setdefault(name, set()).add(path)
    graph = {}
    for path, text in sources.items():
        graph[path] = {}
        for name in words(text) & where.keys():
            for other in where[name] - {path}:
                if path not in where[name]:
                    graph[path].setdefault(other, set()).add(name)
    return graph


def include_graph(texts):
    """{header: {header: how the first includes the second}}, among ours."""
    graph = {}
    for path, text in texts.items():
        if path.endswith('.h'):
            here, found = PurePosixPath(path).parent, {}
            for name in INCLUDE.findall(text):
                for place in (here / name, PurePosixPath('include', name),
                              PurePosixPath(name)):
                    if str(place) in texts:
                        found.setdefault(str(place), set()).add(name)
                        break
            graph[path] = found
    return graph


def circles(graph):
    """The sets of nodes that reach each other, sorted."""
    def reached(start):
        seen, left = set(), [start]
        while left:
            for node in graph.get(left.pop(), ()):
                if node not in seen:
                    seen.add(node)
                    left.append(node)
        return seen
    reach = {node: reached(node) for node in graph}
    groups = {frozenset(other for other in reach[node]
                        if node in reach.get(other, ()))
              for node in graph if node in reach[node]}
    return sorted(sorted(group) for group in groups)


def describe(graph, group):
    """One circle in words, with the names that make it."""
    lines = []
    for one in group:
        for other in group:
            names = sorted(graph[one].get(other, ()))
            if names:
                more = f' and {len(names) - 4} more' if len(names) > 4 else ''
                lines.append(f'\n    {one} -> {other}: '
                             f'{", ".join(names[:4])}{more}')
    return f'{len(group)} files in a circle:' + ''.join(lines)


def listed(header, texts):
    """The sources that a header lists from leaf to root, and their folder's
    others: that of the header, or of those below it the one that fits best.
    Their names may lack `.c`; the list may precede those words. Nothing where
    the head comment has no list."""
    head = HEAD.match(texts[header])
    text = ' '.join(re.sub(r'\n \*', ' ', head[1]).split()) if head else ''
    before, phrase, after = text.partition('from leaf to root')
    top = str(PurePosixPath(header).parent)
    folders = {}
    for path in texts:
        if path.endswith('.c') and path.startswith(top + '/'):
            source = PurePosixPath(path)
            folders.setdefault(source.parent, {})[source.stem] = path
    for text in (after, before) if phrase else ():
        names = list(dict.fromkeys(re.findall(r'([\w-]+)\.c\b', text)
                                   or re.findall(r'[\w-]+', text)))
        best = max(folders.values(), default={},
                   key=lambda stems: len(stems.keys() & set(names)))
        order = [best[name] for name in names if name in best]
        if order:
            return order, set(best.values()) - set(order)
    return [], set()


def wrong_lists(texts, graph):
    """What is wrong in the lists of headers, as sentences."""
    for header in sorted(texts):
        if header.endswith('.h'):
            order, others = listed(header, texts)
            for path in sorted(others):
                yield f'{header}: {path} is not in its list of files'
            for place, one in enumerate(order):
                for other in order[place + 1:]:
                    if names := sorted(graph[one].get(other, ())):
                        yield (f'{header}: {one} stands before {other} and '
                               f'uses its {", ".join(names[:4])}')


def ours(paths, root=REPO):
    """{path: text} of the program's sources and headers. Tests are left out:
    they stand in for parts of it, and have the same names."""
    return {path: (root / path).read_text() for path in paths
            if path.endswith(('.c', '.h')) and 'tests' not in path.split('/')
            and not path.startswith('linux-headers/')}


def find(texts):
    """All circles, and all wrong lists, as sentences."""
    calls = call_graph(texts)
    found = [describe(graph, group)
             for graph in (include_graph(texts), calls)
             for group in circles(graph)]
    return found + list(wrong_lists(texts, calls))
