"""Names of events, steps, tiers and segment values that somebody chose to do harm, or that merely are unusual."""

from __future__ import annotations

HOSTILE = {
    "script": '</script><script>alert("1")</script>',
    "html": "<img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a>",
    "sql": "'; drop table fct_asks; --",
    "markdown": "[x](https://evil.example) | `a` **b** ![i](http://evil.example/i.png) &lt;",
    "slack": "<!channel> <@U123> <https://evil.example|click> *b* :tada:",
    "typst": '#eval("1") $sum$ @ref <label> // /* \\',
    "tex": "$\\frac{1}{0}$ $unclosed",
    "header": "x\r\nBcc: victim@evil.example\r\n\r\n<p>body",
    "formula": '=HYPERLINK("http://evil.example")',
    "emoji": "👩\u200d💻 🎉 شراء",
    "right to left": "شراء \u202e gpj.exe \u2066 שלום",
    "controls": "a\x00b\x1b[31mc\u2028d\u0085e",
    "long": "w" * 10_000,
    "wide": "確認する" * 30,
}
