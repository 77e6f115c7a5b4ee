"""Quality control that masks faults, names the reason of every mask, and keeps what the ground does; no Prefect."""
