// In a terminal session the button copies what is typed, without prompts and output.
'use strict';

document.addEventListener('click', event => {
    const button = event.target.closest('.clip-button');
    const code = button && button.closest('pre').querySelector('code.language-console');
    if (!code) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    const typed = code.textContent.split('\n').filter(line => /^[$>] /.test(line));
    navigator.clipboard.writeText(typed.map(line => line.slice(2)).join('\n') + '\n');
}, true);
