# Sphinx makes the manual of this fork of docs/: `make docs`. It looks like
# QEMU's own, which docs/conf.py over there makes.
#
# SPDX-License-Identifier: GPL-2.0-or-later

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

TOP = Path(__file__).resolve().parents[2]
# QEMU as ./configure prepared it has the extension that reads qapi/*.json.
QEMU = TOP / 'qemu'
sys.path[:0] = [str(QEMU / 'docs/sphinx'), str(QEMU / 'scripts')]

# Commands and events.
UPSTREAM = {name for file in (QEMU / 'qapi').glob('*.json')
            for name in re.findall(r"^{ '(?:command|event)': '([\w-]+)'",
                                   file.read_text(), re.M)}

project = 'QEMU with Arm CCA Realms'
copyright = 'the contributors'
version = release = re.search(r'^## Realms (\S+),',
                              (TOP / 'CHANGELOG.md').read_text(), re.M)[1]

root_doc = 'realm/index'
extensions = ['qapi_domain', 'qapidoc', 'qmp_lexer']
qapidoc_srctree = str(QEMU)
qapi_namespaces = {'QMP'}
default_role = 'any'
highlight_language = 'none'

html_theme = 'sphinx_rtd_theme'
html_theme_options = {'style_nav_header_background': '#802400',
                      'navigation_with_keys': True}
html_copy_source = False
html_show_sourcelink = False


def link_pages(app, doctree):
    """A page that a text names by its file, as ``docs/devel/realm-map.rst``, is
    a link to it, with its title. So the sources can be read as they are."""
    for node in list(doctree.findall(nodes.literal)):
        page = re.fullmatch(r'docs/(.+)\.rst', node.astext())
        if page:
            link = addnodes.pending_xref(
                '', nodes.inline(), refdomain='std', reftype='doc',
                reftarget='/' + page[1], refexplicit=False, refwarn=True,
                refdoc=app.env.docname)
            node.replace_self(link)


def name_upstream(app, env, node, content):
    """What our commands say of QEMU's own remains a name: it has no page here."""
    if node['reftype'] == 'any' and node['reftarget'] in UPSTREAM:
        return content
    return None


def setup(app):
    app.connect('doctree-read', link_pages)
    app.connect('missing-reference', name_upstream)
