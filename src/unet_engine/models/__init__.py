"""What a network is: its description, the table of networks, its file.

Only the networks themselves need torch.
"""
