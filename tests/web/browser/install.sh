#!/bin/sh
# Brings the browser that the page is tested in, where that can be done without asking.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        as_root=none
    fi
    if [ "$as_root" != none ]; then
        echo 'Installing Chromium for the tests of the page.'
        $as_root apt-get update -qq
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            chromium fonts-dejavu-core >/dev/null
        exit 0
    fi
fi
echo 'There is no Chromium, and it cannot be installed from here: the tests of the page in a'
echo 'real browser will be skipped (on a CI machine they fail). Install it and run this again:'
echo '    Debian, Ubuntu:  sudo apt-get install chromium fonts-dejavu-core'
echo '    elsewhere:       any Chromium or Chrome whose command is called chromium,'
echo '                     chromium-browser or google-chrome'
