"""The synthetic conversations that the bundled model is trained on: made on the fly from a seed, never stored.

How the parts fit, from the whole to the words; each may use those after it and none before:

    mixture.py        the endless stream: which skill comes how often, and the seed of each conversation
    skills/           one module a skill, each with `conversation(rng, words)`: ReAct, native calls, plans, talk …
    tool_use/         requests in a conversation: how many, which tools are offered, which is right, what fails
    kinds/            what is asked for: calculation, web, documents, code, slides, special (`ask.Kind`)
    programs/         tasks for programs, what they are about, and what they print
    calculations/     expressions, as typed and as the calculator gets them, and their values
    searches/         what is sought on the web or in documents, and what is found
    special_tools/    tools that the product does not have itself, and the values of their arguments
    instructions.py   system prompts: the product's own and other wordings of them
    conversation.py   a conversation, and its text as `chat_template.jinja` renders it
    ask.py            a request, a tool, a result
    facts/            invented facts as sentences and questions, what stands beside them, numbered sources
    language/         phrase files, words, politeness and slips, grammar
    phrases/          the wordings themselves, plain text: the place to widen the corpus

`python -m main_api.bundled_model sample --skill NAME` prints what comes of it. Three rules hold everywhere. All chance
comes from the `Random` that is passed on, so a conversation is a function of the seed and its number, and the order of
the draws is part of the corpus. What is filled into a phrase is a `Piece` of its own, which no slip of the hand may
alter, because it is copied into arguments. And what the model learns to write is a function of what it reads.
"""
