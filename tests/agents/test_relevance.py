"""Which queries refer to what was said before, by which words, and what a router makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assent.agents.relevance import reference_in

FOLLOW_UPS = """\
Why?
What about Paris?
And in Berlin?
Tell me more
Translate it to French
Can you explain that again?
Who is she?
Send it to her
What did he do next?
How old is he?
Make it shorter
And the other one?
Do the same for Rome
Is it raining there?
The second one
Which one is cheaper?
Yes please
No, in euros
go on
continue please
What does the CEO think of it?
Write a poem about her
Write a summary of it and send it to Anna
Summarize that article
What's the capital of that country?
more details please
Give me another one
Show me the previous answer again
What did you say about taxes? You said 20%.
in French
shorter please
less formal
What else?
Who else was there?
Explain this
Are they friendly?
What is its population?
How do I get there?
That is wrong
Why is that?
How did that happen?
Is it close to the station?
Is it close to Paris?
Is there a way to fix it?
Rewrite your answer as a table
Who is older?
Can I cancel it?
Why did they leave?
Did she win?
Is that safe?
These are too expensive
option 2
Do you have a cheaper one?
as you mentioned, it is late
Could you send him a reminder?
Does she still work there?
And what about tomorrow?
Is he married?
Where was she born?
Book it for two people
Add two of those to my cart
Delete them all
How much does it cost?
How far is it from here?
Will it rain there tomorrow?
Remind me about this tomorrow
Can you make that a bit more formal?
What are its main ingredients?
Which of them is the best?
The blue one please
the first one
Now in Spanish
Same again, but without sugar
That doesn't work
Tell her I'm late
Who is his wife?
Explain the second point in more detail
Is this correct?
Try something else
Cancel that order
And the price?
Not that one
Great, now translate it
Why did he resign?
How do I fix this?
ok do it
Give me three more
What's the difference between them?
a shorter version please
you mentioned Rome, why?
Reply to his email
Rewrite the last paragraph
WHO IS HE
is that so
""".splitlines()

COMPLETE = """\
Tell me one more joke
One more joke
one more joke please
Her Majesty
What did Her Majesty wear?
Did Her Majesty the Queen visit Paris?
His Royal Highness and His Excellency met
What is the weather in Paris?
What time is it in Tokyo?
Is it raining in Rome?
Is it safe to eat raw eggs?
How long does it take to fly to Mars?
Translate this: good morning
Summarize this article: The cat sat on the mat. It was happy.
Write a poem about my dog and make it funny
Marie Curie and her discoveries
Who directed the film Her?
Summarise Stephen King's It
jobs in IT
How do cats clean their fur?
Why does bread lose its taste?
Explain recursion and its uses
Fix the bug in main.py and explain it
Who is the president of France and how old is he?
I think that dogs are smart
Find a book that explains quantum physics
Is there a bakery in town?
Are there tigers in Africa?
hello there
What happened this week?
Any concerts this Friday?
What do people do these days?
Is the weather nice when it rains?
Which one is better, Python or Java?
I have two cars, which one should I sell?
More information about Rome
What is more expensive, gold or silver?
Another joke about cats
Who wrote "This is it"?
Is 7 the same as 07?
What is the first paragraph of Moby Dick?
My sister lost her keys, what should she do?
Tell Anna that she won
How about a joke?
too expensive phones
Why is my computer slow
The fact that water boils at 100 degrees
Compare Python with Java
Set an alarm for 7
start the art lesson
Is it true that cats have nine lives?
On what day did the war end?
Give me a list of animals that live in water
Thanks
Good morning
I'm flying to Rome, what's the weather there?
Order a pizza and deliver it to my home
No one knows who built Stonehenge
What makes people happy when they are old?
Play the song Let It Be
Book a table for two at Luigi's tomorrow
Remind me to call my mother because it is her birthday
What is the capital of that French region called Brittany?
Give me three more reasons to learn Python
Tell me a joke
What's the weather like in Berlin this weekend?
Write an email to Anna and ask whether she can come
How do I fix a bike that squeaks?
What does the expression "it is what it is" mean?
What's new in Python version 3.13?
Does Berlin have its own airport?
Did Einstein win the Nobel prize and when did he die?
Who wrote The Old Man and the Sea?
Sum 1, 2 and 3
Turn on the lights in the kitchen
How many people live in Tokyo?
Draw a cat with its tail up
Explain how transformers work and why they are fast
What is it called when water turns into steam?
Please summarize the following text: She went home. It was late.
Is it possible to travel to Mars?
It is raining, what should I wear?
Should I buy or rent a house?
Which is bigger, the sun or the moon?
Search for flights to Rome that leave on Friday
My laptop is broken. How can I repair it?
There are 12 eggs in a box, how many boxes for 60?
Which came first, the chicken or the egg?
What is the best way to learn another language?
If a train leaves at 5 and it arrives at 7, how long is the trip?
What should one do in case of fire?
Show me the second law of thermodynamics
List all US presidents and their parties
Why do we sleep?
Translate "I love her" into French
Calculate 15% of 80
Tell me more about black holes
What do you know about quantum computers?
Who was the first man on the moon?
How is it going?
Schedule a meeting with Bob so that he can meet Alice
What's up there in the sky at night?
""".splitlines()


@pytest.mark.parametrize("query", FOLLOW_UPS)
def test_a_follow_up_refers_to_what_was_said(query: str) -> None:
    assert reference_in(query)


@pytest.mark.parametrize("query", COMPLETE)
def test_a_complete_query_stands_by_itself(query: str) -> None:
    assert reference_in(query) is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Who is she?", "she"),
        ("Please send it to Anna", "it"),
        ("What about Paris?", "what about"),
        ("Tell me more, please", "more"),
        ("That's wrong", "that"),
        ("Translate this\n\nHello", None),
        ("Here it is:\nShe left.", None),
        ("Thanks! And in Rome?", "and"),
        ("WHO IS SHE", "she"),
        ("", None),
        ("?", None),
    ],
)
def test_it_says_by_which_words(query: str, words: str | None) -> None:
    assert reference_in(query) == words


@given(st.text())
def test_any_text_is_a_query(query: str) -> None:
    assert reference_in(query) is None or reference_in(query) != ""


def test_of_a_long_text_only_the_beginning_is_looked_at() -> None:
    assert reference_in("it " * 100_000) == "it"
    assert reference_in("word " * 100_000 + "it") is None
