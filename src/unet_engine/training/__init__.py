"""Fine-tuning and pretraining: pairs, crops, losses, the course of a training."""
