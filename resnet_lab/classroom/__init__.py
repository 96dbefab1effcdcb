"""Several people at one lab: who they are, what each may do, and what the teacher shows them."""
