# A longer limit of a varchar is noted in PostgreSQL's catalogue: no row is read or written.

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sandbox', '0002_faults_and_fraud'),
    ]

    operations = [
        migrations.AlterField(
            model_name='dispute',
            name='status',
            field=models.CharField(choices=[('needs_response', 'Needs Response'), ('won', 'Won'), ('lost', 'Lost'), ('warning_needs_response', 'Warning Needs Response'), ('warning_closed', 'Warning Closed'), ('prevented', 'Prevented')], default='needs_response', max_length=30),
        ),
    ]
