# browser.sh - browser: a Chromium that starts, or empty. Ubuntu's chromium-browser may do no more than ask for a snap.
# Sourced by the tests of pages. SPDX-License-Identifier: MIT
browser=
for name in chromium chromium-browser google-chrome; do
    if "$name" --version >/dev/null 2>&1; then
        browser=$(command -v "$name")
        break
    fi
done
