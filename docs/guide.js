// In a terminal session the button copies what is typed, without prompts and output.
'use strict';

function copyText(text) {
    if (navigator.clipboard) {
        navigator.clipboard.writeText(text);
        return;
    }
    // Pages that are opened as files have no access to the clipboard but this.
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
}

document.addEventListener('click', event => {
    const button = event.target.closest('.clip-button');
    const code = button && button.closest('pre').querySelector('code.language-console');
    if (!code) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    const typed = code.textContent.split('\n').filter(line => /^[$>] /.test(line));
    copyText(typed.map(line => line.slice(2)).join('\n') + '\n');
}, true);
