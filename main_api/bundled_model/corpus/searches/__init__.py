"""What is sought on the web, in documents or as the topic of slides: how it is worded, and what is found."""
